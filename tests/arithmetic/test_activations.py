"""Activations and the signal through layers by formula, against torch and against networks."""

import pytest
import torch
from torch import nn

from netwright.arithmetic.activations import (
    NAMES,
    activation_facts,
    keeping_gain,
    moments,
    steepest,
)
from netwright.arithmetic.calculations import calculate
from netwright.arithmetic.through_layers import matched_gain, through_layers, weight_variance
from netwright.nn.activations import ACTIVATIONS, activation
from netwright.nn.initialisation import gain
from netwright.nn.initialisers import INITIALISERS, Fans

SLOPES = {"prelu": 0.25}
POINTS = torch.linspace(-9, 9, 3601, dtype=torch.float64)


def module(name):
    return nn.Identity() if name == "linear" else activation(name).double()


def slope_of(name):
    return SLOPES.get(name, 0.01)


def test_every_registered_activation_has_a_card():
    assert set(ACTIVATIONS.names()) | {"linear"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_values_slopes_and_ends_are_torchs(name):
    facts = activation_facts(name, slope_of(name))
    x = POINTS.clone().requires_grad_(True)
    out = module(name)(x)
    (slopes,) = torch.autograd.grad(out.sum(), x)
    for at, value, slope in zip(x.tolist(), out.tolist(), slopes.tolist(), strict=True):
        assert facts.value(at) == pytest.approx(value, abs=1e-6)
        if at not in (-3.0, 0.0, 3.0, 6.0):  # kinks, where a slope is a convention
            assert facts.slope(at) == pytest.approx(slope, abs=1e-6)
    wide = module(name)(torch.linspace(-200, 200, 400_001, dtype=torch.float64))
    low, high = facts.range
    if low > -200:
        assert wide.min().item() == pytest.approx(low, abs=1e-6)
    if high < 200:
        assert wide.max().item() == pytest.approx(high, abs=1e-6)
    assert wide.min() >= low - 1e-7
    assert wide.max() <= high + 1e-7
    assert steepest(name, slope_of(name))[0] == pytest.approx(slopes.max().item(), abs=3e-3)


def test_gains_are_those_of_torch_and_none_where_torch_has_none():
    for name in NAMES:
        found = calculate("activation", [name], {})["gain"]
        parameter = slope_of(name) if name == "leaky_relu" else None
        if name == "prelu":  # torch: as leaky_relu with its slope
            assert found == pytest.approx(nn.init.calculate_gain("leaky_relu", 0.25))
            continue
        try:
            expected = nn.init.calculate_gain(name, parameter)
        except ValueError:
            assert found is None
        else:
            assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_the_matched_gain_is_the_one_networks_are_initialised_with(name):
    assert matched_gain(name, slope_of(name)) == pytest.approx(gain(name), abs=6e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [0.03, 1.0, 20.0])
def test_moments_are_those_of_a_million_draws(name, spread):
    generator = torch.Generator().manual_seed(0)
    x = spread * torch.randn(1_000_000, generator=generator, dtype=torch.float64)
    x.requires_grad_(True)
    out = module(name)(x)
    (slopes,) = torch.autograd.grad(out.sum(), x)
    found = moments(name, spread, slope_of(name))
    drawn = (out.mean().item(), out.square().mean().item(), slopes.square().mean().item())
    size = max(drawn[1] ** 0.5, 1e-3)
    assert found[0] == pytest.approx(drawn[0], abs=0.01 * size)
    assert found[1] == pytest.approx(drawn[1], rel=0.01)
    assert found[2] == pytest.approx(drawn[2], rel=0.02)


def test_a_gain_that_keeps_the_mean_square_does():
    for name in NAMES:
        found = keeping_gain(name, slope_of(name))
        if found is not None:
            assert moments(name, found, slope_of(name))[1] == pytest.approx(1)


@pytest.mark.parametrize("init", ["he", "xavier", "lecun", "orthogonal"])
@pytest.mark.parametrize(("fan_in", "fan_out"), [(200, 300), (300, 200)])
def test_the_variance_of_weights_is_that_of_the_initialiser(init, fan_in, fan_out):
    torch.manual_seed(0)
    entry = INITIALISERS.get(init)
    weight = torch.empty(fan_out, fan_in)
    entry.target(weight, Fans(fan_in, fan_out), 1.0, entry.options())
    expected = weight_variance(init, fan_in, fan_out)
    assert weight.var().item() == pytest.approx(expected, rel=0.02)


def test_torchs_default_has_a_third_over_fan_in():
    torch.manual_seed(0)
    found = nn.Linear(300, 400).weight.var().item()
    assert found == pytest.approx(weight_variance("default", 300, 400), rel=0.02)


WIDTH, LAYERS = 1000, 8


@pytest.mark.parametrize(
    ("act", "init", "gain"),
    [("relu", "he", 2**0.5), ("relu", "xavier", 1.0), ("tanh", "xavier", 5 / 3),
     ("sigmoid", "lecun", 1.0), ("selu", "lecun", 1.0), ("gelu", "he", 1.0)],
)  # fmt: skip
def test_a_wide_network_does_what_is_foretold(act, init, gain):
    """Forward and backward through layers of width 1000 without bias, each within a tenth."""
    torch.manual_seed(0)
    variance = weight_variance(init, WIDTH, WIDTH, gain=gain)
    foretold = through_layers(act, LAYERS, fan_in=WIDTH, fan_out=WIDTH, variance=variance)
    x = torch.randn(64, WIDTH).requires_grad_(True)
    signals = [x]
    for _ in range(LAYERS):
        weight = torch.randn(WIDTH, WIDTH) * variance**0.5
        signals.append(activation(act)(signals[-1] @ weight.T))
    sizes = [each.detach().square().mean().sqrt().item() for each in signals]
    for k, told in enumerate(foretold):
        assert sizes[k + 1] / sizes[k] == pytest.approx(told.forward, rel=0.1)
    gradients = torch.autograd.grad(signals[-1], signals, torch.randn_like(signals[-1]))
    sizes = [each.square().mean().sqrt().item() for each in gradients]
    for k, told in enumerate(foretold):
        assert sizes[k] / sizes[k + 1] == pytest.approx(told.backward, rel=0.1)


def test_the_numbers_of_the_textbook():
    """Ten ReLU layers as torch draws them: 0.34 to 0.04; ten tanh layers of spread 0.01: 1e-10."""
    found = calculate("signal", ["relu"], {"init": "default", "fan_in": "100"})
    assert (round(found["first"], 2), round(found["last"], 2)) == (0.34, 0.04)
    bare = calculate("signal", ["relu"], {"init": "default", "fan_in": "100", "bias": "false"})
    assert bare["forward"] == pytest.approx(6**-0.5)
    found = calculate("signal", ["tanh"], {"init": "normal", "std": "0.01", "fan_in": "100"})
    assert found["last"] == pytest.approx(1e-10, rel=0.05)


def test_a_signal_that_leaves_the_numbers_is_said_to():
    found = calculate(
        "signal", ["relu"], {"init": "normal", "std": "1000", "fan_in": "1000000", "layers": "50"}
    )
    assert any("has left the numbers" in str(each) for each in found.notes)
