"""A network inside of DataParallel: what is measured has the names that the inspection has."""

import pytest
import torch
from torch import nn

import netwright as nw
from netwright.inspection import timing
from netwright.records.timing import OVERHEADS, RATES, Machine, Rate


@pytest.fixture
def found():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    return nw.inspect(nn.DataParallel(layers), (3, 8, 8))


def test_the_start_has_them(found):
    assert [each.layer for each in found.initial_state().stages] == ["0", "3"]


def test_measured_times_have_them(found, monkeypatch):
    machine = Machine(
        processor="one", device="cpu", threads=1, torch="2",
        rates=dict.fromkeys(RATES, Rate(points=((1.0, 1e9),))),
        overheads=dict.fromkeys(OVERHEADS, 1e-6),
    )  # fmt: skip
    monkeypatch.setattr(timing, "machine_at_hand", lambda device: machine)
    measured = {each.name: each.measured for each in found.timing(measure=True).layers}
    assert measured["0"] > 0
    assert measured["3"] > 0


def test_an_effective_field_is_asked_for_by_them(found):
    assert found.effective_field("0", torch.randn(2, 3, 8, 8)).rows == (3, 5)
