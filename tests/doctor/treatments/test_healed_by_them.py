"""Trainings with one fault, healed from the first step to the last."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from netwright.core.errors import DataError
from netwright.doctor.healing import heal


@pytest.fixture
def blobs():
    """Four classes of points in eight numbers, some of which overlap."""
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(0, 4, (600,), generator=draw)
    middles = 1.5 * torch.randn(4, 8, generator=draw)
    return middles[y] + torch.randn(600, 8, generator=draw), y


def healed_of(model, loss, x, y, epochs=4):
    torch.manual_seed(0)
    train = DataLoader(TensorDataset(x[:400], y[:400]), batch_size=32, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return heal(model, optimizer, loss, train, (x[400:], y[400:]), epochs)


def perceptron(*last: nn.Module, inputs: int = 8, outputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs), *last)


def test_a_softmax_too_many_is_found_left_out_and_the_model_can_be_saved(blobs):
    x, y = blobs
    found = healed_of(perceptron(nn.Softmax(1)), nn.CrossEntropyLoss(), x, y)
    assert found.repaired
    assert found.kept[0].names == ("remove-softmax",)
    again = pickle.loads(pickle.dumps(found.model))
    assert torch.equal(again(x), copy.deepcopy(found.model)(x))


def test_labels_that_the_loss_raises_on_are_healed(blobs):
    x, y = blobs
    found = healed_of(perceptron(), F.cross_entropy, x, y + 1)
    assert found.kept[0].names == ("shift-labels",)
    assert found.score > 0.8


def test_what_is_no_fault_of_the_labels_is_told_as_it_was(blobs):
    x, y = blobs

    def loss(output, target):
        raise ZeroDivisionError("somebody's own")

    with pytest.raises(DataError, match="ZeroDivisionError: somebody's own"):
        healed_of(perceptron(), loss, x, y)


def test_targets_in_thousands_are_answered_in_thousands(blobs):
    x, _ = blobs
    y = 5000 + 2000 * torch.tanh(x[:, :1] + x[:, 1:2])
    found = healed_of(perceptron(outputs=1), nn.MSELoss(), x, y)
    assert "standardise-target" in found.kept[0].names
    assert found.score > 0.6
    assert float(found.model(x).mean().detach()) == pytest.approx(float(y.mean()), rel=0.1)
