"""What watching costs, by the watcher's own account and by the clock, on three networks.

    OMP_NUM_THREADS=1 python benchmarks/doctor/cost.py

Each network trains on noise by SGD with momentum: alone, watched, alone again, in one process. The
share is of the watcher's own time over the training's own, the check-up apart; times by the clock
mean something on a quiet machine only.
"""

from __future__ import annotations

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
            1200,
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
            80,
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


def main() -> None:
    torch.manual_seed(0)
    for name, (model, x, steps) in networks().items():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
        seconds(model, x, optimizer, 5)
        before = seconds(model, x, optimizer, steps // 8)
        with watch(model, optimizer) as doctor:
            seconds(model, x, optimizer, steps)
            late = seconds(model, x, optimizer, steps // 8)
            cost = doctor.record().get(Cost)
        after = seconds(model, x, optimizer, steps // 8)
        assert cost is not None
        print(
            f"{name}: own share {cost.share:.1%} of {cost.steps} steps "
            f"({1e6 * cost.hooks / cost.steps:.0f} us of hooks a step, {cost.looked} looks of "
            f"{1e3 * cost.looks / max(1, cost.looked):.1f} ms, check-up {cost.checkup:.1f} s); "
            f"a late step {late * 1e3:.2f} ms, alone {before * 1e3:.2f} and {after * 1e3:.2f}"
        )


if __name__ == "__main__":
    main()
