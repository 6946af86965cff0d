"""Signals that do not flow, in real loops; and the healthy networks that look like it."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.conditions.batchnorm_bad_momentum import batchnorm_bad_momentum
from netwright.doctor.conditions.batchnorm_small_batch import batchnorm_small_batch
from netwright.doctor.conditions.internal_drift import internal_drift
from netwright.doctor.watch import watch
from netwright.records.facts.layers import Layers
from netwright.records.facts.modes import Modes
from netwright.records.facts.norms import NormFact, Norms
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.loops import batches, found, mlp, train

FLOW = {
    "vanishing-gradients", "exploding-gradients", "dead-relu", "saturated-units", "dead-filters",
    "duplicate-filters", "internal-drift", "batchnorm-bad-momentum", "batchnorm-small-batch",
}  # fmt: skip


def sgd(model, lr=0.1, **how):
    return torch.optim.SGD(model.parameters(), lr=lr, **how)


def deep(activation, depth=10, width=16, scale=1.0):
    torch.manual_seed(0)
    layers = []
    for number in range(depth):
        layer = nn.Linear(8 if not number else width, width)
        with torch.no_grad():
            layer.weight *= scale
        layers += [layer, activation()]
    return nn.Sequential(*layers, nn.Linear(width, 4))


def watched(model, optimizer, steps=90, **how):
    """With the facts of the loss, which the check-up would have added; 40 steps are an epoch."""
    doctor = train(model, optimizer, steps=steps, every=1, **how)
    doctor.patient.setup = dataclasses.replace(doctor.patient.setup, steps_per_epoch=40)
    shares = torch.cat([y for _, y in batches(100)]).bincount(minlength=4) / 3200
    constant = -float((shares * shares.log()).sum())
    doctor._checked = [Objective(kind="cross_entropy", classes=4, constant=constant)]
    return doctor


def flow(doctor):
    return {each.name for each in found(doctor) if each.severity != "note"} & FLOW


# --- vanishing and exploding ---------------------------------------------------------------------


def test_ten_layers_of_sigmoid_vanish():
    model = deep(nn.Sigmoid)
    (finding,) = found(watched(model, sgd(model)), "vanishing-gradients")
    assert finding.severity == "stop"
    assert finding.layers[0] == "0"
    assert finding.evidence[0].value < 1e-3


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_networks_that_learn_are_silent(activation):
    model = deep(activation, depth=3)
    assert not flow(watched(model, sgd(model)))


def test_a_run_that_is_done_has_small_gradients_and_is_silent():
    model = mlp(width=64)
    x, y = next(iter(batches(1)))
    doctor = watched(model, sgd(model, lr=0.5), data=[(x, y)] * 120)
    assert doctor.record().get(Steps).loss[-1] < 0.05
    assert not flow(doctor)


class Zero(nn.Module):
    """Residual branches whose last layer starts at zero."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 4)
        self.a = nn.ModuleList(nn.Linear(16, 16) for _ in range(5))
        self.b = nn.ModuleList(nn.Linear(16, 16) for _ in range(5))
        for each in self.b:
            nn.init.zeros_(each.weight)
            nn.init.zeros_(each.bias)

    def forward(self, x):
        x = self.first(x)
        for a, b in zip(self.a, self.b, strict=True):
            x = x + b(torch.relu(a(x)))
        return self.last(x)


def test_residual_branches_that_start_at_zero_are_silent():
    model = Zero()
    assert not flow(watched(model, sgd(model, lr=0.02)))


def test_weights_far_too_large_explode():
    model = deep(nn.ReLU, depth=12, scale=8.0)
    (finding,) = found(watched(model, sgd(model, lr=1e-6), steps=60), "exploding-gradients")
    assert finding.evidence[0].value > 1e3


# --- dead units and saturation -------------------------------------------------------------------


def test_a_large_step_kills_units_and_they_are_counted():
    model = mlp(width=32)
    with torch.no_grad():
        model[0].bias[:28] = -1e3
    doctor = watched(model, sgd(model, lr=1e-4))
    (finding,) = found(doctor, "dead-relu")
    assert finding.evidence[0].value == pytest.approx(28 / 32)
    assert finding.layers == ("0",)


def test_sparse_units_are_alive():
    model = mlp(width=64)
    with torch.no_grad():
        model[0].bias -= 0.7  # nine zeros in ten
    doctor = watched(model, sgd(model))
    layers = doctor.record().get(Layers)
    assert np.nanmax(layers.column("zero_share", "0:relu")) > 0.6
    assert not found(doctor, "dead-relu")


def test_saturated_units_with_a_loss_at_guessing():
    model = deep(nn.Tanh, depth=3, scale=60.0)
    (finding,) = found(watched(model, sgd(model, lr=1e-5)), "saturated-units")
    assert finding.evidence[0].value > 0.5
    assert "tanh" in str(finding.what)


class Gated(nn.Module):
    """A last sigmoid that is sure: it stands at its ends, and learns."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = mlp(width=32)

    def forward(self, x):
        return torch.sigmoid(30 * self.body(x)) * 5


def test_a_sure_last_activation_is_silent():
    model = Gated()
    assert not found(watched(model, sgd(model, lr=0.01)), "saturated-units")


# --- filters -------------------------------------------------------------------------------------


def small_conv():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def pictures(steps=8):
    torch.manual_seed(1)
    for _ in range(steps):
        yield torch.randn(8, 3, 12, 12), torch.randint(0, 4, (8,))


def test_filters_of_zero_and_filters_alike_are_notes():
    model = small_conv()
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[2].weight[4:] = model[2].weight[:4]
        model[2].weight[4:] += 1e-3 * torch.randn(4, 8, 3, 3)
    doctor = train(model, sgd(model, lr=1e-4), data=pictures())
    (dead,) = found(doctor, "dead-filters")
    (alike,) = found(doctor, "duplicate-filters")
    assert (dead.severity, dead.layers, dead.evidence[0].value) == ("note", ("0",), 3 / 8)
    assert (alike.severity, alike.layers, alike.evidence[0].value) == ("note", ("2",), 1.0)


def test_filters_drawn_at_random_are_silent():
    model = small_conv()
    doctor = train(model, sgd(model), data=pictures())
    assert not found(doctor, "dead-filters")
    assert not found(doctor, "duplicate-filters")


# --- drift ---------------------------------------------------------------------------------------


def drifted(times, worse=True):
    looks = np.arange(1.0, 21.0)
    hidden = np.geomspace(1.0, times, 20)
    names = ("0", "1", "2")
    table = np.stack([np.ones(20), hidden, np.ones(20)], axis=1)
    fallen = np.full(20, -1.0 if worse else 1.0)
    return Record(
        [
            Layers(names=names, kinds=("linear",) * 3, step=looks, activation_rms=table),
            Steps(step=looks, loss=np.ones(20), promised=np.ones(20), fallen=fallen, total=20),
        ]
    )


@pytest.mark.parametrize(
    ("times", "worse", "count"), [(1e4, True, 1), (5, True, 0), (1e4, False, 0)]
)
def test_drift_needs_orders_of_magnitude_and_harm(times, worse, count):
    findings = list(internal_drift(drifted(times, worse)))
    assert len(findings) == count
    assert all(each.layers == ("1",) for each in findings)


# --- batch normalisation -------------------------------------------------------------------------


def normed(momentum=0.1, bias=0.0):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16, momentum=momentum), nn.ReLU(), nn.Linear(16, 4)
    )
    with torch.no_grad():
        model[0].bias += bias
    return model


def test_a_momentum_of_a_thousandth_leaves_the_statistics_behind():
    model = normed(momentum=0.001, bias=5.0)
    (finding,) = found(watched(model, sgd(model), steps=110), "batchnorm-bad-momentum")
    assert finding.severity == "warn"
    assert finding.evidence[1].value > 1


@pytest.mark.parametrize("momentum", [0.1, 0.01, None])
def test_usual_momenta_are_silent(momentum):
    model = normed(momentum=momentum, bias=5.0)
    assert not found(watched(model, sgd(model), steps=110), "batchnorm-bad-momentum")


def test_the_momentum_of_another_library_is_told():
    norm = NormFact(name="1", values=256, momentum=0.99)
    modes = Modes(step=(100,), training=(0.5,), evaluation=(0.9,))
    (finding,) = batchnorm_bad_momentum(Record([Norms(norms=(norm,), step=200), modes]))
    assert (finding.severity, finding.treatments[0].code) == ("warn", "momentum=0.01")


@pytest.mark.parametrize(("size", "severity"), [(2, "warn"), (8, "note"), (32, None)])
def test_batches_of_two_eight_and_thirty_two(size, severity):
    model = normed()
    doctor = watched(model, sgd(model, lr=0.01), data=batches(30, size=size))
    findings = found(doctor, "batchnorm-small-batch")
    assert [each.severity for each in findings] == ([severity] if severity else [])


def test_a_small_remainder_of_an_epoch_is_not_the_batch():
    norm = NormFact(name="1", values=8)
    modes = Modes(step=(60, 80, 100), training=(0.9,) * 3, evaluation=(0.3,) * 3)
    record = Record([Norms(norms=(norm,), step=200), modes])
    usual, small = (Setup(model="", params=1, trainable=1, batch=each) for each in (64, 8))
    assert list(batchnorm_small_batch(record.with_facts(usual))) == []
    (finding,) = batchnorm_small_batch(record.with_facts(small))
    assert finding.severity == "warn"


# --- healthy and odd -----------------------------------------------------------------------------


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.norm = nn.Embedding(5000, 16), nn.LayerNorm(16)
        self.rnn, self.head = nn.GRU(16, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.rnn(self.norm(self.table(x)))[0][:, -1])


def test_embeddings_with_few_rows_touched_are_silent():
    model = Tokens()
    torch.manual_seed(1)
    data = [(torch.randint(0, 5000, (16, 6)), torch.randint(0, 4, (16,))) for _ in range(60)]
    doctor = watched(model, torch.optim.Adam(model.parameters()), data=data)
    assert not {each.name for each in found(doctor) if each.severity != "note"}


def test_a_regression_started_at_zero_and_a_full_batch_are_silent():
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    batch = next(iter(batches(1, size=256)))
    doctor = watched(model, sgd(model, lr=0.5), data=[batch] * 60)
    assert not {each.name for each in found(doctor) if each.severity != "note"}


def test_weights_averaged_beside_the_run_are_silent():
    model = mlp()
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(40):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            average.update_parameters(model)
    assert not {each.name for each in found(doctor) if each.severity != "note"}
