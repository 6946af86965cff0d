"""Probes wake nobody's hooks: a list that a user's hook fills does not grow by our passes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import netwright as nw
from netwright.doctor.checkup import examine
from netwright.doctor.patient import Patient, Source, noted
from netwright.doctor.quiet import hushed
from netwright.doctor.setup_facts import setup_of
from netwright.records.facts.first_layer import FirstLayer
from netwright.records.facts.left_out import LeftOut
from netwright.records.facts.mixing import Mixing
from netwright.records.facts.objective import Objective
from netwright.records.record import Record


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def data(count=64):
    torch.manual_seed(1)
    x = torch.randn(count, 4)
    return x, (x[:, 0] > 0).long()


def source(name):
    x, y = data()
    return Source(name=name, batches=lambda: zip(x.split(16), y.split(16), strict=True), samples=64)


def examined(model, sample):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    who = Patient(
        model=model,
        optimizers=(optimizer,),
        setup=setup_of(model, [optimizer]),
        samples=[sample],
        train=source("train"),
        val=source("val"),
    )
    record = Record(examine(who))
    left = record.get(LeftOut)
    assert left is None or left.failed == ()
    return record


def test_no_probe_wakes_a_hook_on_a_module_or_on_all_modules():
    model, seen = net(), []

    def note(*given):
        seen.append(given)

    model[0].register_forward_hook(note)
    model[2].register_forward_pre_hook(note)
    model[0].register_full_backward_hook(note)
    everywhere = nn.modules.module.register_module_forward_hook(note)
    try:
        sample = noted(model, F.cross_entropy, (data(16)[0],), data(16)[1])
        before = len(seen)
        record = examined(model, sample)
    finally:
        everywhere.remove()
    assert len(seen) == before
    assert {Objective, FirstLayer, Mixing} <= {type(each) for each in record}
    assert record.get(Mixing).tested == 2
    model(data(16)[0])
    assert len(seen) > before  # they are there again


def test_nw_checkup_wakes_none_either():
    model, seen = net(), []
    model[0].register_forward_hook(lambda *given: seen.append(given))
    nw.checkup(model, nn.CrossEntropyLoss(), data(), torch.optim.SGD(model.parameters(), 0.1))
    assert seen == []


def test_under_a_watch_a_hook_sees_the_passes_of_the_loop_alone():
    model, seen = net(), []
    model[0].register_forward_hook(lambda *given: seen.append(1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = data(32)
    with nw.watch(model, optimizer, every=1) as doctor:
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert doctor.watcher.fault == ""
    assert len(seen) == 5


def test_what_a_network_computes_by_hooks_that_take_part_is_not_guessed_without_them():
    """A softmax in a hook: without it the loss is another one, so nothing is said of the way."""
    model = net()
    model.register_forward_hook(lambda module, given, output: 50 * output)
    sample = noted(model, F.cross_entropy, (data(16)[0],), data(16)[1])
    record = examined(model, sample)
    assert record.get(Objective).opaque
    assert FirstLayer not in record
    assert record.get(Mixing).tested == 0


@pytest.mark.parametrize(
    "wrap",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
        pytest.param(
            nn.utils.weight_norm,
            marks=pytest.mark.filterwarnings("ignore::FutureWarning"),
        ),
        nn.utils.spectral_norm,
    ],
    ids=["weight_norm", "spectral_norm", "orthogonal", "old weight_norm", "old spectral_norm"],
)
def test_hooks_of_torch_that_compute_weights_go_on_working(wrap):
    model = net()
    wrap(model[0])
    x, _ = data(16)
    model.eval()
    before = model(x)
    with hushed(model), torch.no_grad():
        model[0].weight  # noqa: B018
        assert torch.allclose(model(x), before)
    model.train()
    sample = noted(model, F.cross_entropy, (x,), data(16)[1])
    assert not examined(model, sample).get(Objective).opaque
