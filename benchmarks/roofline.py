"""How far is the roofline estimate of a forward pass from what the pass takes?

    python benchmarks/roofline.py            # two minutes on one core
    python benchmarks/roofline.py --quick    # two networks; prints, keeps nothing

The machine is measured afresh, then each network is inspected, estimated and run on small inputs,
on one thread. Both sides count processor time of this process, so that others on the machine
disturb them less. The table is written to `roofline.md`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import torch

from cells import machine
from netwright.inspection.calibration import calibrated
from netwright.inspection.roofline import estimate
from netwright.inspection.timing import measure
from netwright.inspection.tracing import trace
from netwright.models import build
from netwright.records.timing import Timing

HERE = Path(__file__).resolve().parent

# Network, channels, side, images.
CASES = (
    ("mlp", 1, 28, 1), ("mlp", 1, 28, 64), ("lenet5", 1, 28, 1), ("lenet5", 1, 28, 64),
    ("resnet20", 3, 32, 1), ("resnet20", 3, 32, 16), ("alexnet", 3, 64, 1), ("vgg11", 3, 32, 1),
    ("googlenet", 3, 64, 1), ("squeezenet1_1", 3, 64, 1), ("mobilenet_v1", 3, 64, 1),
    ("mobilenet_v2", 3, 64, 1), ("mobilenet_v2", 3, 64, 8), ("resnet18", 3, 64, 1),
    ("resnet18", 3, 64, 8), ("resnet18", 3, 128, 1), ("resnet50", 3, 64, 1),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two networks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    here = calibrated(clock=time.process_time)
    found = {}
    for name, channels, side, images in CASES[:2] if given.quick else CASES:
        model = build(name, num_classes=10, in_channels=channels, input_size=(side, side)).eval()
        x = torch.randn(images, channels, side, side)
        estimated = estimate(trace(model, (x,)), here)
        cell = f"{name}, {images} x {channels} x {side} x {side}"
        found[cell] = measure(model, (x,), estimated=estimated, clock=time.process_time)
        print(f"{cell}: {found[cell].ratio:.2f}", flush=True)
    table = table_of(found)
    print(table)
    if not given.quick:
        (HERE / "roofline.md").write_text(table)


def table_of(found: dict[str, Timing]) -> str:
    ratios = [each.ratio or 0.0 for each in found.values()]
    off = statistics.median(max(each, 1 / each) for each in ratios)
    lines = [
        "# Roofline estimate against measured forward pass",
        "",
        f"{machine()}, torch {version('torch')}, one thread, processor time; "
        f"{os.getloadavg()[1]:.0f} processes wanted the machine meanwhile.",
        "",
        "| network, input | estimated ms | measured ms | measured / estimated | waits for |",
        "|---|---|---|---|---|",
    ]
    for name, each in found.items():
        parts = {"compute": each.compute, "memory": each.memory, "calls": each.overhead}
        most = max(parts, key=lambda part: parts[part])
        lines.append(
            f"| {name} | {1e3 * each.seconds:.2f} | {1e3 * (each.measured or 0):.2f} "
            f"| {each.ratio:.2f} | {most}, {parts[most] / each.seconds:.0%} |"
        )
    lines += [
        "",
        f"The estimate is off by a factor of {off:.2f} (median over networks); measured times are "
        f"{min(ratios):.2f} to {max(ratios):.2f} of the estimate.",
        "",
        "It knows no fresh pages and no cache that is shared with what "
        "ran before; convolutions over few positions are interpolated from three sizes.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
