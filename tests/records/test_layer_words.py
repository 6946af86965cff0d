"""How a layer is called in a sentence: a number alone is no name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netwright.core.languages import Phrase, speaking
from netwright.doctor.checking import checkup
from netwright.records.findings import Evidence, Finding
from netwright.records.layer_words import in_words_of_layers, layer_words

KINDS = {"0": "Conv2d", "3": "Linear", "3.1": "GELU", "head": "Linear"}


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ("3", "layer 3 (Linear)"),
        ("3.1", "layer 3.1 (GELU)"),
        ("0, 3", "layers 0 (Conv2d), 3 (Linear)"),
        ("0, 3, ... (5)", "layers 0 (Conv2d), 3 (Linear), ... (5)"),
        ("head", "head"),
        ("head, 3", "head, 3"),
        ("12", "12"),  # a number that is no layer
        ("(model)", "(model)"),
        ("", ""),
    ],
)
def test_a_numbered_path_is_told_as_a_layer_with_its_kind(paths, told):
    assert str(layer_words(paths, KINDS)) == told


def test_numbers_that_are_no_layers_stay_as_they_are():
    finding = Finding(
        name="x",
        severity="note",
        layers=("3",),
        what=Phrase("{layer} has {count}", layer="3", count="3"),
        evidence=(Evidence(signal=Phrase("a"), value=1),),
        cause=Phrase("c"),
        wrong_if=Phrase("w"),
    )
    told = in_words_of_layers(finding, [])
    assert str(told.what) == "layer 3 has 3"
    assert told.layers == ("3",)


def test_a_finding_in_a_sequential_network_says_which_layer_in_both_languages():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    for each in model[::2]:
        nn.init.constant_(each.weight, 0.0)
    data = torch.randn(64, 8), torch.randint(0, 4, (64,))
    found = checkup(model, nn.CrossEntropyLoss(), data).named("symmetric-initialisation")
    assert str(found.what).startswith("layer 0: all 16 units")
    with speaking("zh"):
        assert found.what.localized().startswith("层 0：")
