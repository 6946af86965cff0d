"""Steps that are told by their loss alone: the same bits, the same faults, a sample of the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.quiet import quiet
from netwright.doctor.watch import watch
from netwright.doctor.watching import pace
from netwright.doctor.watching.doze import FIRST_BATCHES
from netwright.doctor.watching.pace import BLOCK, WINDOW, Pace
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.passing import Passing
from netwright.records.facts.steps import Steps


@pytest.fixture(autouse=True)
def sleepy(monkeypatch):
    """Hearing all is always too dear here, and begins to be so at once."""
    monkeypatch.setattr(pace, "AWAKE", 2)
    monkeypatch.setattr(pace, "PART", 1e-9)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


def batches(count, size=16, seed=1):
    draw = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = torch.randn(size, 6, generator=draw)
        yield x, x[:, :3].argmax(1)


def trained(model, feed, *, watched=True, clear=True):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    torch.manual_seed(3)
    doctor = watch(model, optimizer, checkup=False) if watched else None
    if doctor is not None:
        doctor.__enter__()
    for x, y in feed:
        if clear:
            optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    if doctor is not None:
        doctor.__exit__(None, None, None)
    return doctor


def test_most_steps_are_asleep_and_every_loss_is_there():
    doctor = trained(network(), batches(300))
    record = doctor.record()
    loop, steps = record.get(Loop), record.get(Steps)
    assert (loop.steps, loop.backwards, steps.total) == (300, 300, 300)
    assert loop.heard < 60
    assert record.get(Passing).told < 150
    alone, losses = network(), []
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.02)
    torch.manual_seed(3)
    for x, y in batches(300):
        optimizer.zero_grad()
        loss = F.cross_entropy(alone(x), y)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert steps.loss.tolist() == losses


def test_the_network_learns_the_same_bits():
    watched, alone = network(), network()
    trained(watched, batches(200))
    trained(alone, batches(200), watched=False)
    for one, other in zip(watched.state_dict().values(), alone.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_value_that_is_not_finite_is_found_at_its_step_and_traced_through_the_model():
    feed = list(batches(120))
    bad = feed[76][0].clone()
    bad[5, 2] = float("nan")
    feed[76] = (bad, feed[76][1])
    doctor = trained(network(), feed)
    fact = doctor.record().get(NonFinite)
    assert (fact.step, fact.where, fact.row) == (77, "input", 5)


def test_gradients_that_are_never_cleared_are_found():
    doctor = trained(network(), batches(400), clear=False)
    loop = doctor.record().get(Loop)
    assert loop.stale_checked >= 5
    assert loop.stale_starts == loop.stale_checked


def test_batches_that_come_again_with_the_rhythm_of_the_blocks_are_no_few():
    period = list(batches(BLOCK))
    doctor = trained(network(), period * 10)
    # Windows at the same place of each block would meet the same four again and again.
    assert doctor.record().get(Passing).distinct > FIRST_BATCHES + 3 * WINDOW
    few = trained(network(), period[:8] * 60).record().get(Passing)
    assert few.distinct == 8
    assert few.told >= 2 * few.distinct


def test_a_pass_of_ours_between_the_windows_leaves_the_loop_heard():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    feed = list(batches(80))
    with watch(model, optimizer, checkup=False) as doctor:
        for number, (x, y) in enumerate(feed, 1):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if number == 60:
                assert doctor.watcher.doze.asleep
                doctor.watcher.ours = True  # as a probe does, in the middle of a run
                with quiet(model), torch.no_grad():
                    model(x)
                doctor.watcher.ours = False
        model.eval()
        with torch.no_grad():
            F.cross_entropy(model(feed[0][0]), feed[0][1])
    record = doctor.record()
    assert np.isfinite(record.get(Steps).loss).sum() == 80
    assert [each.step for each in record.get(Epochs).epochs] == [80]


def test_the_windows_lie_at_places_of_their_own():
    clock = Pace()
    clock._next = 1 << 40
    places, step = set(), 3
    for _ in range(40):
        step = clock.wakes(step)
        places.add(step % BLOCK)
        step += WINDOW
    assert len(places) > 30
