"""Small loops, watched: what the conditions find in them, for tests of conditions.

Each finding is held against the contract of its condition.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.watch import Doctor, watch
from netwright.records.findings import Finding
from netwright.testing.contracts import check_finding


def found(doctor: Doctor, of: str | None = None) -> list[Finding]:
    """The findings so far; with `of`, of one condition."""
    assert doctor.watcher.fault == "", doctor.watcher.fault
    findings = doctor.diagnosis().findings
    for each in findings:
        check_finding(CONDITIONS.get(each.name), each)
    return [each for each in findings if of in (None, each.name)]


def alarms(doctor: Doctor) -> set[str]:
    """The names of those above a note."""
    return {each.name for each in found(doctor) if each.severity != "note"}


def batches(steps: int, *, features: int = 8, classes: int = 4, size: int = 32) -> Iterable[Any]:
    """A problem that can be learned: classes by a random linear map."""
    torch.manual_seed(1)
    truth = torch.randn(features, classes)
    for _ in range(steps):
        x = torch.randn(size, features)
        yield x, (x @ truth).argmax(1)


def sgd(model: nn.Module, lr: float = 0.1, **how: Any) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, **how)


def mlp(activation: Callable[[], nn.Module] = nn.ReLU, width: int = 16) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, width), activation(), nn.Linear(width, 4))


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int = 20,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    data: Iterable[Any] | None = None,
    step: Callable[[int, torch.Tensor], None] | None = None,
    every: int | None = None,
    before: Callable[[int], None] | None = None,
) -> Doctor:
    """A plain loop, watched; `step(i, loss)` stands for backward and step, `before(i)` is called
    at the beginning of each round."""
    with watch(model, optimizer, checkup=False, every=every) as doctor:
        for i, (x, y) in enumerate(batches(steps) if data is None else data):
            if before is not None:
                before(i)
            value = loss(model(x), y)
            if step is not None:
                step(i, value)
                continue
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return doctor
