"""Correct networks are called correct: kinks, ties, randomness, statistics and loops over time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


def verdicts(found):
    return {each.verdict for each in found.table}


def nonnegative_square(x):
    if bool((x < 0).any()):
        raise ValueError("negative")
    return x.square()


KINKS = {
    "ReLU at 0": (F.relu, torch.tensor([-1.0, 0.0, 2.0])),
    "two ReLUs whose kinks cancel": (lambda x: F.relu(x) - F.relu(-x), torch.zeros(3)),
    "clamp at its end": (lambda x: x.clamp(-1, 1), torch.tensor([-1.0, 0.3, 1.0])),
    "hard swish at its ends": (F.hardswish, torch.tensor([-3.0, 3.0, 1.0])),
    "equal maxima in a pool": (lambda x: F.max_pool2d(x, 2), torch.ones(1, 1, 4, 4)),
    "equal maxima": (lambda x: x.amax(1), torch.ones(2, 3)),
    "where the domain ends": (nonnegative_square, torch.tensor([0.0, 1.0])),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_just_here_is_told_and_is_no_error(name):
    found = nw.check_gradients(*KINKS[name])
    assert found.ok
    assert verdicts(found) == {"kink"}
    assert "A kink stands exactly here" in str(found)


def test_the_absolute_value_has_the_middle_slope_at_0():
    assert verdicts(nw.check_gradients(torch.abs, torch.tensor([0.0, 1.0]))) == {"ok"}


SOUND = {
    "convolutions and pools": (lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)), (1, 8, 8)),
    "batch norm": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
                   (1, 6, 6)),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 30), nn.Dropout(0.5), nn.Linear(30, 2)), (6,)),
    "random slopes": (lambda: nn.Sequential(nn.Linear(6, 6), nn.RReLU()), (6,)),
    "LSTM": (lambda: nn.LSTM(4, 5, 2, batch_first=True, dropout=0.2), (3, 4)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
    "attention in evaluation": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (5, 8)),
    "ten sigmoid layers": (lambda: nn.Sequential(*(
        each for _ in range(10) for each in (nn.Linear(9, 9), nn.Sigmoid()))), (9,)),
    "an in-place activation first": (
        lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), (4,)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (4,)),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_network_is_ok(name):
    make, shape = SOUND[name]
    assert verdicts(nw.check_gradients(make(), shape)) == {"ok"}


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_whole_numbers_go_in_as_they_are(mode):
    found = nw.check_gradients(nn.EmbeddingBag(9, 4, mode=mode), torch.tensor([[1, 2], [2, 8]]))
    assert [(each.name, each.verdict) for each in found.table] == [("weight", "ok")]


def test_the_row_for_padding_gets_no_gradient_by_design():
    assert nw.check_gradients(nn.Embedding(9, 4, padding_idx=0), torch.tensor([0, 3, 0]))


def test_sparse_gradients_are_gradients():
    assert nw.check_gradients(nn.Embedding(9, 4, sparse=True), torch.tensor([0, 3, 0]))


def test_a_view_several_outputs_and_a_mapping_are_all_looked_at():
    def several(x):
        return {"view": x.view(-1)[::2], "parts": (x.sin(), x.sum()), "count": 3}

    assert verdicts(nw.check_gradients(several, torch.randn(2, 4))) == {"ok"}


def test_an_output_without_gradient_is_left_out():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 3)

        def forward(self, x):
            inner = self.body(x)
            return inner.square(), inner.detach(), inner.argmax(1)

    assert nw.check_gradients(Two(), (3,))


def test_tied_weights_are_one_row_with_both_names():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x).tanh())

    found = nw.check_gradients(Both(), (4,))
    assert verdicts(found) == {"ok"}
    assert [(e.name, e.also) for e in found.table if e.also] == [("a.weight", ("b.weight",))]


def test_frozen_parameters_are_listed_and_not_compared():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    found = nw.check_gradients(model, (3,))
    said = {each.name: each.verdict for each in found.table}
    assert said["0.weight"] == said["0.bias"] == "no gradient wanted"
    assert said["1.weight"] == "ok"
    assert found.ok


def test_only_marked_inputs_are_checked_where_some_are_marked():
    x, y = torch.randn(3, requires_grad=True), torch.randn(3)
    found = nw.check_gradients(lambda x, y: x * y, x, y)
    assert {each.name: each.verdict for each in found.table} == {
        "x": "ok", "y": "no gradient wanted"}  # fmt: skip


def test_an_image_that_a_network_rounds_wants_no_gradient():
    class Rounding(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 2)

        def forward(self, x):
            with torch.no_grad():
                x = (x - x.mean()) / x.std()
            return self.inner(x)

    found = nw.check_gradients(Rounding(), (3,))
    assert found.ok
    assert found.table[0].verdict == "no gradient wanted"


def test_what_computes_in_float32_all_the_same_is_checked_and_told():
    class Single(nn.Module):
        def forward(self, x):
            return x.float().sin()

    found = nw.check_gradients(Single(), torch.randn(4, 5))
    assert found.ok
    assert "computed in float32 all the same" in str(found)


def test_gradients_inside_of_a_network_are_had():
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))

        def forward(self, x):
            (found,) = torch.autograd.grad(self.inner(x).sum(), x, create_graph=True)
            return found

    assert nw.check_gradients(Slope(), torch.randn(4, 2, requires_grad=True))


def test_a_network_of_many_layers_costs_no_more_passes_than_one_layer():
    deep = nn.Sequential(*(each for _ in range(30) for each in (nn.Linear(9, 9), nn.Tanh())))
    for each in deep[::2]:
        nn.init.orthogonal_(each.weight)
    assert nw.check_gradients(deep, (9,)).record.evaluations < 60
