"""An encoder and a decoder of one loss under two optimizers are told of once and rightly; so is one
optimizer over two models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.doctor.diagnosis import diagnosed
from netwright.doctor.watching.program import Program
from netwright.records.facts.fit import Fit
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.tasks.doctored import in_order

TRUTH = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def encoder():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def decoder():
    return nn.Sequential(nn.ReLU(), nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4))


def train(run, optimizers, steps=60, softmax=False):
    for _ in range(steps):
        x = torch.randn(32, 8)
        for each in optimizers:
            each.zero_grad()
        out = run(x)
        loss = F.cross_entropy(out.softmax(1) if softmax else out, (x @ TRUTH).argmax(1))
        loss.backward()
        for each in optimizers:
            each.step()


def told(program):
    found = {case.number: diagnosed(case.record()) for case in program.cases}
    return [(each.severity, each.name) for _, each in in_order(found) if each.severity != "note"]


def apart(**more):
    torch.manual_seed(0)
    one, other = encoder(), decoder()
    with Program() as program:
        optimizers = [torch.optim.Adam(each.parameters(), 1e-3) for each in (one, other)]
        train(lambda x: other(one(x)), optimizers, **more)
    return program


def together(**more):
    torch.manual_seed(0)
    one, other = encoder(), decoder()
    with Program() as program:
        optimizer = torch.optim.Adam([*one.parameters(), *other.parameters()], 1e-3)
        train(lambda x: other(one(x)), [optimizer], **more)
    return program


@pytest.mark.parametrize("ran", [apart, together])
def test_a_healthy_pair_is_silent_and_no_game(ran):
    program = ran()
    assert told(program) == []
    for case in program.cases:
        loop = case.record().get(Loop)
        assert (loop.never_graded, loop.not_held, loop.not_in_model) == ((), (), 0)
        assert case.record().get(Setup).special == ""


@pytest.mark.parametrize("ran", [apart, together])
def test_what_is_wrong_with_their_loss_is_told_once(ran):
    assert told(ran(steps=12, softmax=True)) == [("stop", "softmax-before-cross-entropy")]


def test_two_patients_of_one_loss_say_so_and_are_not_fitted_one_by_one():
    program = apart(steps=6)
    groups = [case.record().get(Setup).loss_group for case in program.cases]
    assert groups[0] == groups[1] > 0
    assert all(Fit not in case.record() for case in program.cases)


def test_two_networks_with_the_same_fault_are_told_of_both():
    torch.manual_seed(0)
    with Program() as program:
        for _ in range(2):
            net = nn.Sequential(encoder(), decoder())
            train(net, [torch.optim.Adam(net.parameters(), 1e-3)], steps=12, softmax=True)
    assert told(program) == [("stop", "softmax-before-cross-entropy")] * 2


@pytest.mark.parametrize("order", [1, -1])
def test_layers_of_the_optimizer_that_steps_later_are_not_said_to_stand_still(order):
    torch.manual_seed(0)
    model = nn.Sequential(encoder(), decoder())
    optimizers = [torch.optim.SGD(each.parameters(), 0.05) for each in model][::order]
    with nw.watch(model, optimizers, every=1) as doctor:
        train(model, optimizers, steps=10)
    record = doctor.record()
    assert record.get(Loop).unchanged_names == ()
    ratios = record.get(Layers).update_ratio
    assert not np.any(ratios == 0)
    assert np.isfinite(ratios).any()
