"""The traced peak of memory of a training step beside the allocator's own, network by network.

    python benchmarks/memory.py            # some minutes; goes on from memory.jsonl
    python benchmarks/memory.py --quick    # the MLP alone; prints only

The true peak is the highest sum of the allocator's events in one real step (torch's profiler),
the second one, over what lay there before: weights, buffers, batch, optimizer state. Inference is
a forward pass in evaluation mode without gradients. The time is that of the second trace in a
process, CPU seconds: the first one imports what traces need.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.profiler import ProfilerActivity, profile

from cells import Cells, machine
from memory_networks import NETWORKS
from netwright.inspection.step_loss import usual_loss
from netwright.inspection.training_step import inference_memory, training_memory

HERE = Path(__file__).resolve().parent
OPTIMIZERS: dict[str, Callable[[Iterator[nn.Parameter]], optim.Optimizer]] = {
    "sgd": lambda weights: optim.SGD(weights, lr=0.01),
    "momentum": lambda weights: optim.SGD(weights, lr=0.01, momentum=0.9),
    "adam": lambda weights: optim.Adam(weights),
}
KINDS = (*OPTIMIZERS, "inference")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one network, nothing is kept")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        for kind in KINDS:
            print(kind, measured("MLP", kind))
        return
    setup = {**machine(), "torch": torch.__version__, "threads": 1}
    cells = Cells(HERE / "memory.jsonl", setup, fresh=options.fresh)
    for name in NETWORKS:
        for kind in KINDS:
            if f"{name}/{kind}" not in cells:
                cells.add(f"{name}/{kind}", measured(name, kind))
                print(name, kind, cells.found[f"{name}/{kind}"], flush=True)
        (HERE / "memory.md").write_text(page(setup, cells), encoding="utf-8")


def measured(name: str, kind: str) -> dict[str, Any]:
    """Both peaks in bytes, when the traced one is, and what tracing took."""
    torch.manual_seed(0)
    net, batch = NETWORKS[name]()
    if kind == "inference":
        true = inference_peak(net, batch)
        inference_memory(net, (batch,))
        began = time.process_time()
        found: Any = inference_memory(net, (batch,))
    else:
        true = step_peak(net, batch, kind)
        training_memory(net, (batch,), optimizer=kind)
        began = time.process_time()
        found = training_memory(net, (batch,), optimizer=kind)
    seconds = time.process_time() - began
    return {
        "measured": true,
        "traced": found.peak_bytes,
        "moment": str(found.moment),
        "scratch": found.parts.scratch,
        "seconds": round(seconds, 3),
    }


def step_peak(net: nn.Module, batch: Tensor, kind: str) -> int:
    optimizer = OPTIMIZERS[kind](net.parameters())

    def step() -> Any:
        optimizer.zero_grad()
        output = net(batch)
        usual_loss(output).backward()
        optimizer.step()
        return output

    step()
    optimizer.zero_grad()
    state = [part for each in optimizer.state.values() for part in each.values()]
    before = [*net.parameters(), *net.buffers(), batch, *state]
    return held(before) + highest(step)


def inference_peak(net: nn.Module, batch: Tensor) -> int:
    net.eval()

    def run() -> Any:
        with torch.no_grad():
            return net(batch)

    run()
    return held([*net.parameters(), *net.buffers(), batch]) + highest(run)


def held(tensors: Iterable[Any]) -> int:
    """Bytes of the storages of all tensors among `tensors`, once each."""
    found = [each.untyped_storage() for each in tensors if isinstance(each, Tensor)]
    return sum({each._cdata: each.nbytes() for each in found}.values())


def highest(run: Callable[[], Any]) -> int:
    """The most that `run` has allocated at once, by the events of torch's allocator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]"]
    live = top = 0
    for _, change in sorted(changes, key=lambda each: each[0]):
        live += change
        top = max(top, live)
    return top


def page(setup: dict[str, Any], cells: Cells) -> str:
    lines = [
        "# The peak of memory, traced and measured",
        "",
        f"{setup['processor']}, one thread; Python {setup['python']}, torch {setup['torch']}. "
        "Written by `benchmarks/memory.py`. Measured: the allocator's events in one real step on "
        "the CPU. Error: traced over measured, less one. Bytes are the allocator's; the process's "
        "resident size is 16 to 86 % higher.",
        "",
        "| network | step | measured, MB | traced, MB | error, % | the peak is in | of it scratch, "
        "MB | trace, CPU s |",
        "|---|---|---:|---:|---:|---|---:|---:|",
    ]
    errors = []
    for name in NETWORKS:
        for kind in KINDS:
            if f"{name}/{kind}" not in cells:
                continue  # it is written after each network
            cell = cells.found[f"{name}/{kind}"]
            errors.append(100 * (cell["traced"] / cell["measured"] - 1))
            lines.append(
                f"| {name} | {kind} | {cell['measured'] / 1e6:.2f} | {cell['traced'] / 1e6:.2f} | "
                f"{errors[-1]:+.2f} | {cell['moment']} | {cell['scratch'] / 1e6:.2f} | "
                f"{cell['seconds']:.2f} |"
            )
    worst = max(errors, key=abs)
    exact = sum(abs(each) < 0.1 for each in errors)
    text = f"{len(errors)} cells: {exact} within 0.1 %, the worst {worst:+.2f} %."
    return "\n".join([*lines, "", text, ""])


if __name__ == "__main__":
    main()
