"""Small trainings for the tests of healing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of


def _problem(samples: int = 192, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 4, generator=draw)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def _network(seed: int = 0, *, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 2))


def _course(model: nn.Module | None = None, *, rate: float = 0.3, epochs: int = 8,
            loss: Any = None, optimizer: Any = None, train: Any = None, val: Any = None,
            **settings: Any) -> Course:  # fmt: skip
    model = _network() if model is None else model
    return course_of(
        model, SGD(model.parameters(), lr=rate, momentum=0.9) if optimizer is None else optimizer,
        nn.CrossEntropyLoss() if loss is None else loss, _problem() if train is None else train,
        _problem(96, seed=1) if val is None else val, epochs, None, **settings,
    )  # fmt: skip


def _weights(model: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in (*model.parameters(), *model.buffers())]


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.fixture
def problem() -> Callable[..., tuple[Tensor, Tensor]]:
    """Two classes that a hidden layer can tell apart, and a line cannot."""
    return _problem


@pytest.fixture
def network() -> Callable[..., nn.Sequential]:
    """A hidden layer of 32."""
    return _network


@pytest.fixture
def course() -> Callable[..., Course]:
    """The training of a network on the problem."""
    return _course


@pytest.fixture
def weights() -> Callable[[nn.Module], list[Tensor]]:
    """Copies of all parameters and buffers."""
    return _weights


@pytest.fixture
def same() -> Callable[[list[Tensor], list[Tensor]], bool]:
    """Whether two lists of tensors are the same to the bit."""
    return _same
