"""What watching costs, by the watcher's own account and by the clock, on three networks.

    OMP_NUM_THREADS=1 python benchmarks/doctor/cost.py [--only WORD] [--quick]

Each network trains on noise by SGD with momentum: alone, watched, alone again, in one process:
LeNet-5 as long as three epochs of MNIST take, ResNet-20 half an epoch of CIFAR-10. The share is of
the watcher's own time over the training's own, the check-up apart, for the whole and for the later
half; times by the clock mean something on a quiet machine only. The table is `cost.md`.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from netwright import models
from netwright.doctor.watch import watch
from netwright.records.facts.cost import Cost


def networks() -> dict[str, tuple[nn.Module, torch.Tensor, int]]:
    """Name: network, batch, steps."""
    layers = [each for _ in range(20) for each in (nn.Linear(64, 64), nn.ReLU())]
    return {
        "LeNet-5, 64 of 1x28x28": (
            models.build(
                "lenet5", num_classes=10, in_channels=1, input_size=(28, 28), options={}
            ),
            torch.randn(64, 1, 28, 28),
            2814,
        ),
        "MLP of 20 layers, 64 of 64": (
            nn.Sequential(*layers, nn.Linear(64, 10)),
            torch.randn(64, 64),
            4000,
        ),
        "ResNet-20, 128 of 3x32x32": (
            models.build(
                "resnet20", num_classes=10, in_channels=3, input_size=(32, 32), options={}
            ),
            torch.randn(128, 3, 32, 32),
            195,
        ),
    }  # fmt: skip


def seconds(
    model: nn.Module, x: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int
) -> float:
    """Of one training step."""
    y = torch.arange(len(x)) % 10
    began = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x + 0.001 * step), y).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps


def measured(model: nn.Module, x: torch.Tensor, steps: int) -> str:
    """One row of the table."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    seconds(model, x, optimizer, 5)
    alone = [seconds(model, x, optimizer, steps // 10)]
    with watch(model, optimizer) as doctor:
        seconds(model, x, optimizer, steps // 2)
        half = doctor.watcher.cost()
        late = seconds(model, x, optimizer, steps - steps // 2)
        whole = doctor.record().get(Cost)
    alone.append(seconds(model, x, optimizer, steps // 10))
    assert whole is not None
    own = whole.hooks + whole.looks - half.hooks - half.looks
    training = whole.seconds - half.seconds - own
    cells = (
        f"{whole.steps}",
        f"{whole.share:.1%}",
        f"{own / training:.1%}",
        f"{1e6 * whole.hooks / whole.steps:.0f}",
        f"{whole.looked} of {1e3 * whole.looks / max(1, whole.looked):.1f}",
        f"{whole.checkup:.1f}",
        f"{1e3 * late:.2f}",
        " and ".join(f"{1e3 * each:.2f}" for each in alone),
    )
    return " | ".join(cells)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default="", help="networks with this word in their name")
    asked.add_argument("--quick", action="store_true", help="a tenth of the steps")
    given = asked.parse_args()
    torch.manual_seed(0)
    print(
        "| network | steps | own share | of the later half | hooks, us a step | looks, ms "
        "| check-up, s | late step, ms | alone, ms |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name, (model, x, steps) in networks().items():
        if given.only.lower() in name.lower():
            count = max(20, steps // 10) if given.quick else steps
            print(f"| {name} | {measured(model, x, count)} |", flush=True)


if __name__ == "__main__":
    main()
