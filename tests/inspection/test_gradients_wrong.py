"""Mistakes in backward passes are found, and the right thing is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.autograd import Function

import netwright as nw


class Affine(Function):
    """x @ weight.T + bias, whose backward pass can be spoiled in one place."""

    spoil = ""

    @staticmethod
    def forward(ctx, x, weight, bias, spoil=""):
        ctx.save_for_backward(x, weight)
        ctx.spoil = spoil
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = grad @ weight, grad.T @ x, grad.sum(0)
        if ctx.spoil == "sign":
            to_weight = -to_weight
        elif ctx.spoil == "factor":
            to_weight = 0.5 * to_weight
        elif ctx.spoil == "transposed":
            to_x = grad @ weight.T
        elif ctx.spoil == "mean":
            to_bias = grad.mean(0)
        elif ctx.spoil == "forgotten":
            to_bias = None
        elif ctx.spoil == "entry":
            to_weight = to_weight.clone()
            to_weight[1, 2] += 0.01
        elif ctx.spoil == "nan":
            to_bias = to_bias * float("nan")
        return to_x, to_weight, to_bias, None


class Layer(nn.Linear):
    spoil = ""

    def forward(self, x):
        return Affine.apply(x, self.weight, self.bias, self.spoil)


def layer(spoil="", size=5):
    made = Layer(size, size)
    made.spoil = spoil
    return made


def wrong(found):
    return [each.name for each in found.table if each.verdict == "wrong"]


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [("sign", "weight"), ("factor", "weight"), ("transposed", "x"), ("mean", "bias"),
     ("forgotten", "bias"), ("entry", "weight"), ("nan", "bias")],
)  # fmt: skip
def test_the_wrong_argument_of_a_function_is_named_and_no_other(spoil, name):
    found = nw.check_gradients(
        lambda x, weight, bias: Affine.apply(x, weight, bias, spoil),
        torch.randn(4, 5), torch.randn(5, 5), torch.randn(5),
    )  # fmt: skip
    assert not found
    assert wrong(found) == [name]
    assert found.worst.name == name


def test_the_same_function_without_a_mistake_is_ok():
    found = nw.check_gradients(Affine, torch.randn(4, 5), torch.randn(3, 5), torch.randn(3))
    assert found
    assert [each.name for each in found.table] == ["x", "weight", "bias"]
    assert all(each.error < each.bound < 1e-6 for each in found.table)


def test_a_forgotten_factor_is_told():
    found = nw.check_gradients(layer("factor"), torch.randn(4, 5))
    row = next(each for each in found.table if each.name == "weight")
    assert row.ratio == pytest.approx(0.5, abs=1e-6)
    assert "weight: backprop gives 0.5 times the derivative." in str(found)


def test_the_single_wrong_entry_is_shown():
    found = nw.check_gradients(layer("entry"), torch.randn(4, 5))
    row = next(each for each in found.table if each.name == "weight")
    assert row.entry.index == (1, 2)
    assert row.entry.backprop - row.entry.numeric == pytest.approx(0.01, abs=1e-8)


def test_a_gradient_that_never_arrives_is_told():
    found = nw.check_gradients(layer("forgotten"), torch.randn(4, 5))
    assert "bias: the output depends on it, but no gradient comes back." in str(found)


def test_in_a_network_a_parameter_of_wrong_gradient_is_named_alone():
    model = nn.Sequential(layer(), nn.ReLU(), layer("mean"), nn.ReLU(), layer())
    found = nw.check_gradients(model, torch.randn(4, 5))
    assert wrong(found) == ["2.bias"]
    assert found.blamed == ("2",)


def test_a_wrong_gradient_of_the_input_is_blamed_on_its_layer():
    model = nn.Sequential(
        layer(), nn.Tanh(), nn.Sequential(nn.Tanh(), layer("transposed")), layer()
    )
    found = nw.check_gradients(model, torch.randn(4, 5))
    assert wrong(found) == ["input", "0.weight", "0.bias"]  # all that stands before it
    assert found.blamed == ("2.1",)


def test_a_mistake_in_the_code_around_the_layers_is_blamed_on_it():
    class Detaching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(5, 5)

        def forward(self, x):
            return self.inner(x) * self.inner(x).detach()

    found = nw.check_gradients(nn.Sequential(Detaching()), torch.randn(4, 5))
    assert found.blamed == ("0",)


def test_a_cut_graph_is_a_wrong_gradient():
    found = nw.check_gradients(lambda x, y: x * y.detach(), torch.randn(3), torch.randn(3))
    assert wrong(found) == ["y"]


def test_a_straight_through_estimator_is_not_the_derivative():
    found = nw.check_gradients(lambda x: x + (x.round() - x).detach(), torch.randn(3))
    assert wrong(found) == ["x"]


def test_a_loss_and_its_target_are_checked_with_the_network():
    found = nw.check_gradients(
        layer("mean"), torch.randn(4, 5), loss=nn.functional.mse_loss, target=torch.zeros(4, 5)
    )
    assert wrong(found) == ["bias"]


def test_a_gradient_too_large_by_a_thousandth_is_seen_in_a_deep_network():
    model = nn.Sequential(*(each for _ in range(6) for each in (layer(), nn.GELU())))
    model[4].weight.register_hook(lambda grad: grad)  # hooks of others do not count
    assert nw.check_gradients(model, torch.randn(4, 5))

    class Thousandth(Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return 1.001 * grad

    class Slightly(nn.Module):
        def forward(self, x):
            return Thousandth.apply(x)

    nn.utils.parametrize.register_parametrization(model[4], "weight", Slightly())
    assert wrong(nw.check_gradients(model, torch.randn(4, 5))) == [
        "4.parametrizations.weight.original"
    ]
