"""Loops in which the model computes its own loss, or holds the loss as one of its modules; loaders
whose batches somebody else puts together."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)

import netwright as nw
from netwright.doctor.watching.sources import source_of
from netwright.records.facts.answers import Answers
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.fit import Fit
from netwright.records.initial_state import InitialState


def pairs():
    torch.manual_seed(2)
    x = torch.randn(128, 4)
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


class OwnLoss(nn.Module):
    """Given the labels, it gives the loss as well."""

    def __init__(self, *more):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), *more)

    def forward(self, x, labels=None):
        logits = self.net(x)
        # As those of Hugging Face do: the labels are seen as a view of themselves.
        loss = F.cross_entropy(logits.view(-1, 3), labels.view(-1))
        return {"loss": loss, "logits": logits}


class Holder(nn.Module):
    """Never called itself: a loop of its own calls its parts."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.criterion = nn.CrossEntropyLoss()


def train(model, loss_of, epochs=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = DataLoader(pairs(), batch_size=16)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(epochs):
            model.train()
            for x, y in data:
                optimizer.zero_grad()
                loss_of(model, x, y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for x, y in data:
                    loss_of(model, x, y)
    assert not doctor.watcher.fault
    return doctor


LOOPS = {
    "the model's own loss": (OwnLoss, lambda model, x, y: model(x=x, labels=y)["loss"]),
    "a loss among the modules": (Holder, lambda model, x, y: model.criterion(model.net(x), y)),
}


@pytest.mark.parametrize("kind", LOOPS)
def test_the_loss_the_labels_and_the_answers_are_known(kind):
    make, loss_of = LOOPS[kind]
    doctor = train(make(), loss_of)
    sample = doctor.patient.sample
    assert sample.loss_call.name == "cross_entropy"
    assert sample.scale == 1.0
    record = doctor.record()
    assert record.get(Answers).classes == 3
    assert record.get(Fit).constant == pytest.approx(1.0, abs=0.2)
    losses = [each.val_loss for each in record.get(Epochs).epochs]
    assert len(losses) == 4
    assert all(later < before for before, later in itertools.pairwise(losses))
    assert doctor.findings == (), [(each.name, str(each.what)) for each in doctor.findings]


def test_a_loader_of_something_else_is_not_what_a_loop_judges_by():
    """Such as one left over in a notebook: until the loop judges it may be meant for that."""
    torch.manual_seed(5)
    other = DataLoader(TensorDataset(3 + 2 * torch.randn(64, 4), torch.zeros(64).long()), 16)
    make, loss_of = LOOPS["a loss among the modules"]
    doctor = train(make(), loss_of)
    assert doctor.findings == (), [(each.name, str(each.what)) for each in doctor.findings]
    assert doctor.patient.val is None
    assert len(other) == 4


@pytest.mark.parametrize("kind", LOOPS)
def test_the_start_is_seen_with_the_names_of_the_whole_model(kind):
    make, loss_of = LOOPS[kind]
    state = train(make(), loss_of, epochs=1).record().get(InitialState)
    assert [each.layer for each in state.stages] == ["net.0", "net.2"]
    assert all(each.weight_gradient for each in state.stages)


def test_a_loss_divided_for_accumulation_is_known_by_its_factor():
    make, loss_of = LOOPS["the model's own loss"]
    sample = train(make(), lambda *each: loss_of(*each) / 4, epochs=1).patient.sample
    assert sample.scale == pytest.approx(0.25)
    assert sample.loss == pytest.approx(math.log(3), rel=0.2)


def test_layers_with_nothing_between_them_are_seen_in_a_model_with_a_loss_of_its_own():
    model = OwnLoss()
    model.net[1] = nn.Identity()
    found = train(model, LOOPS["the model's own loss"][1], epochs=1).findings
    assert "missing-nonlinearity" in [each.name for each in found]


@pytest.mark.parametrize("part", [False, True])
def test_a_loader_that_scores_the_training_data_is_not_taken_for_validation(part):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = pairs()
    scored = DataLoader(Subset(data, range(64)) if part else data, batch_size=64)
    with nw.watch(model, optimizer) as doctor:
        for x, y in DataLoader(data, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert len(scored)
    assert doctor.patient.val is None
    assert doctor.findings == ()


class ByTheirSum(BatchSampler):
    """Batches of no fixed size."""

    def __init__(self):
        self.batch_size = None

    def __iter__(self):
        yield from ([0, 1], [2, 3, 4], [5])

    def __len__(self):
        return 3


@pytest.mark.parametrize(
    ("sampler", "shuffled"), [(RandomSampler, True), (SequentialSampler, False)]
)
def test_a_batch_sampler_says_how_large_the_batches_are_and_in_which_order(sampler, shuffled):
    data = pairs()
    loader = DataLoader(data, batch_sampler=BatchSampler(sampler(data), 50, drop_last=True))
    source = source_of(loader, "train")
    assert (source.batch, source.dropped, source.shuffled) == (50, 28, shuffled)
    assert [len(x) for x, _ in source.batches()] == [50, 50]


def test_batches_of_no_fixed_size_are_known_as_they_passed_by():
    loader = DataLoader(pairs(), batch_sampler=ByTheirSum())
    passed = [tuple(each) for each in loader]
    source = source_of(loader, "train", passed)
    assert (source.batch, source.samples, source.shuffled) == (None, 128, None)
    assert [len(x) for x, _ in source.batches()] == [2, 3, 1]


def collated(samples):
    return [[x.tolist() for x, _ in samples], [int(y) for _, y in samples]]


def test_batches_that_hold_no_tensor_are_batches_all_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer) as doctor:
        for x, y in DataLoader(pairs(), batch_size=16, collate_fn=collated):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.tensor(x)), torch.tensor(y)).backward()
            optimizer.step()
    assert doctor.findings == ()
