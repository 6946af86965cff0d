"""Gradients that are never cleared, and the healthy loops that look like it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.diagnosis import diagnosed
from netwright.doctor.watch import watch
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.loops import alarms, found, mlp, sgd, train


def test_a_loop_that_never_clears_is_found_with_the_share_of_old_gradient():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        loss.backward()
        optimizer.step()

    doctor = train(model, optimizer, step=step, steps=30)
    (finding,) = found(doctor, "gradients-never-cleared")
    assert finding.severity in ("stop", "warn")
    assert finding.evidence[0].value > 0.95  # all but the first step
    assert finding.evidence[1].witness == "harm"
    assert finding.treatments[0].grade == "safe"


def test_the_excess_is_what_was_left_over_against_the_fresh_gradient():
    weight = nn.Linear(1, 1, bias=False)
    optimizer = sgd(weight, lr=0.0)
    x = torch.ones(4, 1)
    with watch(weight, optimizer, checkup=False, every=1) as doctor:
        for _ in range(4):
            weight(x).sum().backward()  # a gradient of 4 each time
            optimizer.step()
    # 12 are left over before the last backward, which adds 4.
    assert doctor.record().get(Loop).stale_excess == pytest.approx(3.0)


@pytest.mark.parametrize("none", [True, False])
def test_clearing_in_either_way_is_silent(none):
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad(set_to_none=none)
        loss.backward()
        optimizer.step()

    assert not found(train(model, optimizer, step=step), "gradients-never-cleared")


def test_accumulation_is_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        (loss / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()

    assert not alarms(train(model, optimizer, step=step, steps=80))


def gan(optimizers_of, steps=20):
    torch.manual_seed(0)
    maker, judge = nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    both = nn.ModuleDict({"maker": maker, "judge": judge})
    first, second = optimizers_of(judge), optimizers_of(maker)
    ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)
    bce = F.binary_cross_entropy_with_logits
    with watch(both, [first, second], checkup=False) as doctor:
        for _ in range(steps):
            real, fake = torch.randn(16, 8) + 2, maker(torch.randn(16, 4))
            first.zero_grad()
            (bce(judge(real), ones) + bce(judge(fake.detach()), zeros)).backward()
            first.step()
            second.zero_grad()
            bce(judge(fake), ones).backward()  # the judge gets a gradient too, and clears it
            second.step()
    return doctor


def test_two_players_that_clear_in_their_turn_are_silent():
    assert not alarms(gan(lambda model: torch.optim.Adam(model.parameters(), lr=1e-3)))


def test_a_loop_that_never_clears_is_told_where_its_fresh_gradients_have_died() -> None:
    """Double softmax saturates at once: what is left over is all there is."""
    record = Record(
        [
            Loop(steps=300, backwards=300, stale_starts=299, stale_checked=300),
            Objective(kind="cross_entropy", losses=(1.4,), constant=1.37),
            Steps(loss=np.full(300, 1.5), step=np.arange(1.0, 301.0), total=300),
        ]
    )
    found = diagnosed(record).named("gradients-never-cleared")
    assert found is not None
    assert found.severity == "stop"
    healthy = Record([Loop(steps=300, backwards=300, stale_starts=299, stale_checked=300)])
    assert diagnosed(healthy).named("gradients-never-cleared") is None
