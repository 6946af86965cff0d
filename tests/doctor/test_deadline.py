"""A check-up keeps to its time, whatever a step costs, and says what it did not look at."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.core.errors import SettingError
from netwright.doctor.checkup import examine
from netwright.doctor.conditions._harm import unfit
from netwright.doctor.deadline import Deadline
from netwright.doctor.part import light, part_of
from netwright.doctor.patient import Patient, noted
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.curvature import curvature
from netwright.doctor.probes.fit import fit
from netwright.doctor.setup_facts import setup_of
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.left_out import LeftOut, Shed
from netwright.records.facts.objective import Objective
from netwright.records.record import Record

ROOM = 3.0
"""Seconds for a busy machine; without a deadline these check-ups take six seconds and more."""

list(PROBES)  # the first look at the folder imports it


class Pause(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, seconds):
        ctx.seconds = seconds * len(x)
        time.sleep(ctx.seconds)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(2 * ctx.seconds)
        return gradient, None


class Slow(nn.Module):
    """A perceptron whose forward pass takes `seconds` a sample, and its backward pass twice as
    long."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.seconds = seconds

    def forward(self, x):
        return Pause.apply(self.layers(x), self.seconds)


def data(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randn(count, 4)
    return x, (x[:, 0] > 0).long()


def patient(model: nn.Module, count: int = 64, rate: float = 0.1) -> Patient:
    x, y = data(count)
    optimizer = torch.optim.SGD(model.parameters(), rate)
    return Patient(
        model=model,
        optimizers=(optimizer,),
        setup=setup_of(model, [optimizer]),
        samples=[noted(model, F.cross_entropy, (x,), y)],
    )


@pytest.mark.parametrize("pass_of_batch", [0.02, 0.2])
def test_a_slow_network_is_looked_at_in_about_the_time_that_was_given(pass_of_batch):
    who = patient(Slow(pass_of_batch / 64))
    began = time.perf_counter()
    record = Record(examine(who, seconds=1.5))
    assert time.perf_counter() - began < 1.5 + 3 * pass_of_batch + ROOM
    assert record.get(Objective) is not None
    assert record.get(LeftOut).shed


def test_a_check_up_counts_the_passes_that_note_its_samples():
    model = Slow(0.2 / 64)
    x, y = data(256)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    began = time.perf_counter()
    found = nw.checkup(model, nn.CrossEntropyLoss(), (x, y), optimizer, seconds=1.5)
    assert time.perf_counter() - began < 1.5 + 0.6 + ROOM
    assert found.left_out.seconds == 1.5


def test_a_quick_network_is_looked_at_whole():
    record = Record(examine(patient(Slow(0.0))))
    left = record.get(LeftOut)
    assert left is None or not left.shed
    assert len(record.get(Fit).trials) == 3
    assert record.get(Fit).batch == 64
    assert (record.get(Curvature).steps, record.get(Curvature).share) == (8, 1.0)


def test_a_slow_step_is_tried_on_a_part_of_the_batch():
    who = patient(Slow(0.04 / 128), 128)
    with who.deadline.timed():
        who.model(data(128)[0])
    assert light(who).size == 35 or 32 <= light(who).size < 96
    (found,) = fit(who)
    assert found.batch == light(who).size
    (bend,) = curvature(who)
    assert bend.share == light(who).size / 128
    assert bend.least < bend.top


def test_a_part_has_the_loss_of_its_samples():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    who = patient(model)
    x, y = data()
    part = part_of(who, who.sample, 32)
    assert torch.equal(part.target, y[::2])
    assert part.loss == pytest.approx(F.cross_entropy(model(x[::2]), y[::2]).item())
    assert part.objective.loss.requires_grad


class Fixed(nn.Linear):
    """A layer that takes its time however few samples there are."""

    def forward(self, x):
        time.sleep(0.05)
        return super().forward(x)


def test_a_part_that_saves_nothing_is_not_taken():
    who = patient(Fixed(4, 2), 128)
    with who.deadline.timed():
        who.model(data(128)[0])
    assert light(who) is who.sample


def test_a_loss_that_knows_the_size_of_its_batch_has_no_part():
    model = nn.Sequential(nn.Linear(4, 2))
    weights = torch.rand(64)
    x, y = data()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    who = Patient(
        model=model,
        optimizers=(optimizer,),
        setup=setup_of(model, [optimizer]),
        samples=[
            noted(model, lambda o, t: (weights * F.cross_entropy(o, t, reduction="none")).mean(),
                  (x,), y)
        ],
    )  # fmt: skip
    assert part_of(who, who.sample, 32) is None


def test_a_trial_that_did_not_get_its_steps_witnesses_no_harm():
    cut = FitTrial(factor=1.0, steps=30, start=1.0, end=0.99)
    assert unfit(Record([Fit(trials=(cut,), batch=32, complete=False)])) is None
    assert unfit(Record([Fit(trials=(cut,), batch=32)])) is not None


def test_a_trial_without_time_says_nothing_rather_than_that_nothing_fits():
    who = patient(Slow(0.5 / 64), rate=1e-9)
    who.deadline = Deadline(2.0)
    with who.deadline.timed():
        who.model(data()[0])
    assert [each for each in fit(who) if each.complete] == []
    assert Shed(probe="", what="rates", done=0, planned=3) in who.deadline.shed


def test_what_was_left_out_is_said_on_the_screen_and_in_json_in_both_languages():
    from netwright.core.languages import speaking

    found = nw.checkup(Slow(0.2 / 64), nn.CrossEntropyLoss(), data(), seconds=0.5)
    assert found.to_json()["left_out"]["seconds"] == 0.5
    with speaking("en"):
        assert "left out" in str(found)
    with speaking("zh"):
        assert "未查看" in str(found)


def test_the_record_keeps_what_was_left_out(tmp_path):
    left = LeftOut(
        failed=(("fit", "ValueError: no"),),
        late=("noise",),
        shed=(Shed(probe="fit", what="rates", done=1, planned=3),),
        seconds=10.0,
    )
    Record([left]).save(tmp_path)
    assert Record.load(tmp_path).get(LeftOut) == left
    assert [str(each) for each in left.lines()] == [
        "fit could not look: ValueError: no",
        "not looked at, for the 10 s were over: noise",
        "fit, for want of time: 1 of 3 rates tried on one batch",
    ]
    assert dataclasses.asdict(left)["late"] == ("noise",)


def test_a_watch_is_told_how_many_seconds_its_check_up_may_take():
    def left_out(seconds):
        model = Slow(2e-4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        with nw.watch(model, optimizer, checkup=seconds) as doctor:
            F.cross_entropy(model(torch.randn(16, 4)), torch.arange(16) % 2).backward()
            optimizer.step()
        return doctor.record().get(LeftOut)

    hurried = left_out(0.2)
    assert hurried.seconds == 0.2
    assert hurried.late or hurried.shed
    with pytest.raises(SettingError, match="how many seconds a check-up may take"):
        nw.watch(Slow(0.0), torch.optim.SGD(Slow(0.0).parameters(), lr=0.1), checkup=-1)
