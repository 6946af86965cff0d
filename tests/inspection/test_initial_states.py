"""Initialisers and activations compared on copies of one network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError
from netwright.inspection.initial_states import activation_of, initial_states, replace_activations
from netwright.models import build
from netwright.nn.activations import ACTIVATIONS, ActivationName, activation
from netwright.nn.initialisers import INITIALISERS


def deep(act: ActivationName = "relu") -> nn.Module:
    options = {"hidden": [64] * 8, "act": act}
    return build("mlp", num_classes=5, in_channels=1, input_size=(8, 8), options=options)


def test_every_initialiser_is_judged_and_only_constant_ones_are_at_fault() -> None:
    states = initial_states(deep(), torch.randn(100, 1, 8, 8))
    assert [each.initialiser for each in states] == [entry.name for entry in INITIALISERS]
    verdicts = {each.initialiser: each.verdict for each in states}
    assert verdicts.pop("zeros") == "dead"
    assert verdicts.pop("constant") != "steady"
    assert set(verdicts.values()) == {"steady"}


def test_an_option_of_a_registered_network_and_an_exchanged_module_say_the_same() -> None:
    x = torch.randn(50, 1, 8, 8)
    by_option = initial_states(deep, x, initialisers=["he"], activations=["tanh", "gelu"])
    exchanged = initial_states(deep(), x, initialisers=["he"], activations=["tanh", "gelu"])
    assert [each.activation for each in by_option] == ["tanh", "gelu"]
    assert by_option[1].stages[0].activation == "gelu"
    for one, other in zip(by_option, exchanged, strict=True):
        assert one.forward_gain == pytest.approx(other.forward_gain, rel=0.2)


@pytest.mark.parametrize("act", [entry.name for entry in ACTIVATIONS])
def test_every_activation_can_be_exchanged_for_and_is_recognised(act: ActivationName) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert replace_activations(model, act) == 1
    assert type(model[1]) is type(activation(act))
    assert activation_of(model) == act
    (state,) = initial_states(model, torch.randn(64, 2), initialisers=["he"])
    assert (state.activation, state.stages[0].activation) == (act, act)


def test_the_network_and_the_random_state_stay_as_they_were() -> None:
    model = deep()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    initial_states(model, torch.randn(9, 1, 8, 8, generator=torch.Generator()), activations=["elu"])
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert activation_of(model) == "relu"


def test_unknown_names_and_networks_without_modules_to_exchange_are_refused() -> None:
    x = torch.randn(4, 2)
    with pytest.raises(UnknownNameError, match='No initialiser called "hee"'):
        initial_states(nn.Linear(2, 2), x, initialisers=["hee"])
    with pytest.raises(UnknownNameError, match='No activation called "rely"'):
        initial_states(nn.Linear(2, 2), x, activations=["rely"])
    with pytest.raises(SettingError, match="Linear has no activation module"):
        initial_states(nn.Linear(2, 2), x, activations=["tanh"])
