"""A schedule that was made for another optimizer turns nothing: it is found, and bound anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    LambdaLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

import netwright as nw
from netwright.doctor.treatments import TREATMENTS
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding
from netwright.testing.treatments import finding_of

pytestmark = pytest.mark.filterwarnings("ignore:.*lr_scheduler")

CROSS_ENTROPY = nn.CrossEntropyLoss()


def rates(course: Course, steps: int) -> list[float]:
    """Of the first group of the optimizer that trains."""
    made = course.copy()
    found = []
    for _ in range(steps):
        found.append(made.optimizer.param_groups[0]["lr"])
        made.optimizer.step()
        made.scheduler.step()
    return found


def bound(course: Course) -> Course:
    finding = finding_of("stale-schedule", "bind-schedule", course)
    (plan,) = TREATMENTS.get("bind-schedule").target(course, finding)
    made = course.copy()
    plan.apply(made)
    return made


def test_a_warm_up_of_the_optimizer_of_before_is_found_and_bound(network, problem):
    model = network()
    before = SGD(model.parameters(), lr=3.0, momentum=0.9)
    optimizer = SGD(model.parameters(), lr=3.0, momentum=0.9)
    schedule = LambdaLR(before, lambda step: min(0.03, 0.001 * step))
    healed = nw.heal(model, optimizer, CROSS_ENTROPY, problem(), problem(96, 1), epochs=20,
                     scheduler=schedule, scheduler_every="step")  # fmt: skip
    finding = healed.diagnosis.named("stale-schedule")
    assert finding.severity == "warn"
    assert "turns the rate of another optimizer: here it stays 3" in str(finding.what)
    assert healed.repaired
    assert "bind-schedule" in [name for each in healed.kept for name in each.names]
    assert schedule.optimizer is before
    assert optimizer.param_groups[0]["lr"] == 3.0


def test_a_check_up_before_training_finds_it_too(network, problem):
    model = network()
    optimizer, other = (SGD(model.parameters(), lr=0.1) for _ in range(2))

    def found(schedule: Any) -> Finding | None:
        return nw.checkup(model, CROSS_ENTROPY, problem(), optimizer, scheduler=schedule,
                          epochs=20).named("stale-schedule")  # fmt: skip

    assert found(StepLR(optimizer, 1, 0.5)) is None
    assert found(StepLR(other, 1, 0.5)).severity == "warn"
    assert found(StepLR(other, 1, 0.999)).severity == "note"  # nothing would be otherwise


def test_the_rates_are_those_of_the_schedule_from_the_rate_of_the_optimizer(network, course):
    model = network()
    other = SGD(model.parameters(), lr=0.7)
    schedules = {
        "steps": StepLR(other, 2, 0.1),
        "chain": ChainedScheduler([StepLR(other, 2, 0.1)]),
    }
    for schedule in schedules.values():
        given = course(model, rate=0.2, scheduler=schedule, scheduler_every="step")
        assert rates(given, 4) == [0.2] * 4
        assert rates(bound(given), 4) == pytest.approx([0.2, 0.2, 0.02, 0.02])


def test_a_schedule_that_names_its_peak_has_it_where_the_optimizer_has_its_rate(network, course):
    model = network()
    other = SGD(model.parameters(), lr=0.7)
    one_cycle = OneCycleLR(other, 5.0, total_steps=20)
    given = course(model, rate=0.2, scheduler=one_cycle, scheduler_every="step")
    assert max(rates(bound(given), 20)) == pytest.approx(0.2, rel=0.01)


def test_schedules_one_after_the_other_are_bound_together(network, course):
    model = network()
    other = Adam(model.parameters(), lr=0.7)
    parts = [LambdaLR(other, lambda step: 0.1), StepLR(other, 2, 0.1)]
    given = course(model, rate=0.2, scheduler=SequentialLR(other, parts, [2]),
                   scheduler_every="step")  # fmt: skip
    made = bound(given)
    assert all(each.optimizer is made.optimizer for each in made.scheduler._schedulers)
    assert rates(made, 2) == pytest.approx([0.02, 0.02])


def test_the_schedule_of_the_optimizer_itself_is_left_as_it_is(network, course):
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1)
    given = course(model, optimizer=optimizer, scheduler=StepLR(optimizer, 2))
    finding = finding_of("stale-schedule", "bind-schedule", given)
    assert list(TREATMENTS.get("bind-schedule").target(given, finding)) == []
    assert torch.equal(given.model[0].weight, model[0].weight)
