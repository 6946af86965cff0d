"""A race whose leader falls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from netwright.core.languages import Phrase
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.doctor.trials.purse import Purse
from netwright.doctor.trials.race import race
from netwright.doctor.trials.runners import Candidate
from netwright.doctor.trials.trial import Trial


class Breaks:
    """A rate that is no number from one step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, step: int) -> float:
        return math.nan if step >= self.step else 1.0


def course(rate: float, breaks: int = 10**9) -> Course:
    torch.manual_seed(0)
    x = torch.randn(400, 4)
    y = (x @ torch.tensor([1.0, -1.0, 0.5, 0.0]) > 0).long()
    model = nn.Linear(4, 2)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    schedule = LambdaLR(optimizer, Breaks(breaks))
    loss = nn.CrossEntropyLoss()
    return course_of(
        model, optimizer, loss, (x[:300], y[:300]), (x[300:], y[300:]), 40, None,
        scheduler=schedule, scheduler_every="step",
    )  # fmt: skip


def test_where_the_leader_falls_the_next_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four candidates; the two that go on to the second round come to no end."""
    monkeypatch.setattr("netwright.doctor.trials.race._leads", lambda *_: False)
    made = [course(0.5, 25), course(0.4, 25), course(0.05), course(0.0)]
    candidates = [
        Candidate(names=(str(place),), says=Phrase("as it is"), begin=each.copy)
        for place, each in enumerate(made)
    ]
    ended = race(Trial(course(1e-9, 15)), candidates, Purse(steps=10_000), steps=20)
    assert [bool(row.error) for row in ended.rows] == [True, True, True, False, False]
    assert ended.winner is candidates[2]
