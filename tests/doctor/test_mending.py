"""`nw.watch(..., on_stop="repair")`: a loop of somebody else's goes on with earlier weights."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.core.errors import SettingError
from netwright.doctor.interventions.history import History
from netwright.doctor.interventions.snapshots import Snapshot, Snapshots

STEPS = 160


class Loop:
    """Four classes of 16 numbers each, a small network, a schedule; `spoiled` is the step whose
    batch holds NaN."""

    def __init__(self, rate, *, spoiled=None, steps=STEPS):
        torch.manual_seed(0)
        self.x = torch.randn(512, 16)
        self.y = (self.x @ torch.randn(16, 4)).argmax(1)
        self.model = nn.Sequential(
            nn.Linear(16, 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Linear(64, 4)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=0.9)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.spoiled, self.steps = spoiled, steps
        self.rates, self.losses = [], []

    def run(self):
        for step in range(self.steps):
            rows = torch.randint(0, 512, (32,))
            inputs = self.x[rows] * (math.nan if step == self.spoiled else 1.0)
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(inputs), self.y[rows])
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            self.losses.append(loss.item())
        return self

    @property
    def right(self):
        self.model.eval()
        return float((self.model(self.x).argmax(1) == self.y).float().mean())


def mended(loop, **options):
    with nw.watch(loop.model, loop.optimizer, on_stop="repair", checkup=False, **options) as doctor:
        loop.run()
    assert not doctor.watcher.fault
    return doctor


def test_until_something_stops_nothing_is_changed():
    plain, watched = Loop(0.05).run(), Loop(0.05)
    doctor = mended(watched)
    assert doctor.interventions == ()
    assert watched.losses == plain.losses
    pairs = zip(plain.model.state_dict().values(), watched.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_batch_that_holds_nan_is_forgotten_and_the_rate_stays():
    loop = Loop(0.05, spoiled=100)
    (done,) = mended(loop).interventions
    assert (done.finding, done.seen, done.rate, done.outcome) == ("nonfinite", 101, 1.0, "held")
    assert 0 < done.back_to <= 100
    assert loop.right > 0.95
    assert torch.isfinite(loop.model[2].running_var).all()


def test_a_rate_far_too_high_is_lowered_and_the_loop_does_not_see_it(caplog):
    loop, plain = Loop(50.0), Loop(50.0).run()
    with caplog.at_level(logging.WARNING, "netwright.doctor"):
        doctor = mended(loop)
    assert doctor.interventions
    assert all(each.rate == pytest.approx(0.1) for each in doctor.interventions)
    assert doctor.interventions[0].back_to == 0
    assert loop.rates == plain.rates
    assert "back to the weights of step 0, learning rate x 0.1" in caplog.text
    assert loop.right > plain.right


def test_repairs_are_bounded():
    assert len(mended(Loop(1e30), repairs=2).interventions) == 2


def test_a_snapshot_brings_back_weights_buffers_and_momentum():
    loop = Loop(0.05, steps=5).run()
    before = {name: each.clone() for name, each in loop.model.state_dict().items()}
    momentum = [each["momentum_buffer"].clone() for each in loop.optimizer.state.values()]
    snapshot = Snapshot(5, loop.model, [loop.optimizer])
    loop.run()
    snapshot.put_back(loop.model, [loop.optimizer])
    assert all(torch.equal(each, before[name]) for name, each in loop.model.state_dict().items())
    back = [each["momentum_buffer"] for each in loop.optimizer.state.values()]
    assert all(torch.equal(one, other) for one, other in zip(momentum, back, strict=True))


def test_the_first_snapshot_and_the_newest_three_are_kept():
    model = nn.Linear(2, 2)
    snapshots = Snapshots(model, [])
    for step in (0, 10, 20, 40, 80):
        assert snapshots.due(step)
        snapshots.take(step)
    assert [snapshots.before(each).step for each in (5, 15, 25, 45, 99)] == [0, 0, 20, 40, 80]


@pytest.mark.parametrize("options", [{"on_stop": "heal"}, {"on_stop": "repair", "repairs": 0}])
def test_what_cannot_be_is_refused(options):
    model = nn.Linear(2, 2)
    with pytest.raises(SettingError, match="repair"):
        nw.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), **options)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr("netwright.doctor.watch.several_processes", lambda: True)
    model = nn.Linear(2, 2)
    with pytest.raises(SettingError, match="is for one process"):
        nw.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), on_stop="repair")


def seen(losses):
    history = History()
    for each in losses:
        history.add(each)
    return history


@pytest.mark.parametrize(
    ("losses", "sound"),
    [
        ([2.0 - 0.04 * step for step in range(40)], 40),  # nothing is wrong
        ([2.0 - 0.04 * step for step in range(40)] + [9.0] * 20, 40),  # a leap
        ([2.3, 50.0, 900.0, 400.0, 80.0] + [2.3] * 30, 0),  # it never learned
        ([2.0, 9.0, 9.0, 9.0, 8.0, 4.0, 1.0, 0.8] + [0.7] * 20, 0),  # thrown off at once
        ([2.0] * 10 + [math.nan] * 3, 0),
    ],
)
def test_the_last_sound_step_is_read_from_the_losses(losses, sound):
    assert abs(seen(losses).sound_until - sound) <= 3


def test_a_history_is_cut_and_saved():
    history = seen([2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1])
    history.cut(8)
    other = History()
    other.load_state_dict(history.state_dict())
    assert (other.step, list(other.losses)) == (8, [2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3])
