"""A plain network as a measure: runs that end far above what it learned of the same data."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.diagnosis import diagnosed
from netwright.doctor.watch import watch
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.fit import Fit
from netwright.records.facts.objective import Objective
from netwright.records.facts.reference import Reference
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.loops import alarms, found

torch.manual_seed(0)
X = torch.randn(1400, 8)
Y = torch.stack([(2 * X[:, 0]).sin(), X[:, 1] * X[:, 2]], 1)


def net(*widths):
    torch.manual_seed(1)
    sizes = (8, *(widths or (64, 64)), 2)
    layers = []
    for wide, out in itertools.pairwise(sizes):
        layers += [nn.Linear(wide, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def trained(model, optimizer, *, epochs=6, x=X, y=Y, before=None):
    """A loop with a loader, that validates after each epoch."""
    loader = DataLoader(TensorDataset(x[:1024], y[:1024]), batch_size=32, shuffle=True)
    held = (x[1024:], y[1024:])
    with watch(model, optimizer, every=2) as doctor:
        for epoch in range(epochs):
            if before is not None:
                before(epoch)
            model.train()
            for a, b in loader:
                optimizer.zero_grad()
                F.mse_loss(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for a, b in zip(held[0].split(94), held[1].split(94), strict=True):
                    F.mse_loss(model(a), b).item()
    return doctor


@pytest.fixture(scope="module")
def too_high():
    model = net()
    return trained(model, torch.optim.Adam(model.parameters(), lr=0.3))


def test_a_rate_is_too_high_where_a_plain_network_learns_far_more(too_high):
    (finding,) = found(too_high, "learning-rate-too-high")
    (harm,) = (each for each in finding.evidence if "two hidden layers" in str(each.signal))
    assert harm.witness == "harm"
    assert harm.value > harm.threshold >= 4 * harm.baseline


def test_the_reference_is_what_it_says(too_high):
    fact = too_high.record().get(Reference)
    assert fact.width == 128
    assert 0 < fact.unseen < 0.5 * float(Y.var())


def test_the_same_run_at_a_usual_rate_is_silent():
    model = net()
    assert not alarms(trained(model, torch.optim.Adam(model.parameters(), lr=3e-3), epochs=8))


def test_a_narrow_way_from_the_inputs_back_to_themselves_has_no_such_measure():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    doctor = trained(model, optimizer, x=X, y=X.clone(), epochs=3)
    assert doctor.record().get(Reference) is None
    assert not alarms(doctor)


def test_reading_the_data_once_more_changes_no_random_number():
    kept = []
    for watched in (False, True):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        torch.manual_seed(5)
        loader = DataLoader(TensorDataset(X, Y), batch_size=100, shuffle=True)
        doctor = watch(model, optimizer) if watched else SimpleNamespace()
        if watched:
            doctor.__enter__()
        for a, b in loader:
            optimizer.zero_grad()
            F.mse_loss(model(a), b).backward()
            optimizer.step()
        if watched:
            doctor.__exit__(None, None, None)
            assert doctor.record().get(Reference) is not None
        kept.append(torch.cat([each.detach().flatten() for each in model.parameters()]))
    assert torch.equal(*kept)


def course_of(losses, validated):
    """A record of nothing but losses: of steps, and of validation after every tenth of them."""
    count = len(losses)
    every = count // len(validated)
    return Record(
        [
            Steps(
                step=np.arange(1.0, count + 1),
                loss=np.asarray(losses),
                lr=np.full(count, 0.1),
                total=count,
            ),
            Objective(
                kind="cross_entropy", losses=(2.3,), constant=2.3, classes=10,
                target_shape=(64,), factor=1.0,
            ),
            Epochs(
                epochs=tuple(
                    EpochFact(epoch=1 + i, step=every * (1 + i), val_loss=each, val_loss_error=0.01)
                    for i, each in enumerate(validated)
                )
            ),
        ]
    )  # fmt: skip


def names(record):
    return {each.name for each in diagnosed(record).findings if each.severity != "note"}


FALLEN_AND_RISEN = [*np.linspace(2.3, 0.2, 60), *np.linspace(0.3, 1.7, 180)]


def test_a_run_that_lost_most_of_what_it_had_learned_diverges():
    validated = [1.5, 0.4, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7]
    assert "divergence" in names(course_of(FALLEN_AND_RISEN, validated))


def test_samples_that_become_harder_while_validation_gets_better_do_not_diverge():
    validated = [1.9, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8, 0.7, 0.65, 0.6]
    assert "divergence" not in names(course_of(FALLEN_AND_RISEN, validated))


def test_a_loss_above_guessing_diverges_where_validation_does():
    climbs = list(np.linspace(2.3, 3.3, 240))
    assert "divergence" in names(course_of(climbs, np.linspace(2.4, 3.4, 10)))
    assert "divergence" not in names(course_of(climbs, np.linspace(2.3, 1.4, 10)))


def test_an_end_while_validation_gets_better_is_early_where_there_is_far_to_go():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    (finding,) = found(trained(model, optimizer, epochs=4), "stopped-early")
    assert finding.severity == "warn"


class Plainly(torch.optim.Optimizer):
    """Calls the rate its own way, and takes no notice of a closure."""

    def __init__(self, weights, pace):
        super().__init__(weights, {"lr": pace})
        self.turn = 1

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    each.sub_(group["lr"] * each.grad)


class Keeping(Plainly):
    """Holds something that belongs to the weights of the loop."""

    def __init__(self, weights, pace):
        super().__init__(weights, pace)
        self.kept = {0: self.param_groups[0]["params"][0]}


def test_an_optimizer_of_ones_own_is_tried_on_a_copy():
    model = net()
    doctor = trained(model, Plainly(model.parameters(), 0.1), epochs=1)
    trial = doctor.record().get(Fit).at(1.0)
    assert trial.end < 0.9 * trial.start


def test_an_optimizer_that_keeps_what_is_not_copied_is_not_tried():
    model = net()
    doctor = trained(model, Keeping(model.parameters(), 0.1), epochs=1)
    assert doctor.record().get(Fit) is None
    assert doctor.watcher.fault == ""
