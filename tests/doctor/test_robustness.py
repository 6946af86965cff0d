"""Records that are damaged, foreign or odd never make a condition stumble."""

import dataclasses
import random

import pytest
from torch import nn

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosing import diagnose
from netwright.models import build

from .conftest import inspected

NETWORKS = {
    "convolutions": (
        lambda: build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32)),
        (1, 3, 32, 32),
    ),
    "decoder": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=2, dilation=2), nn.Conv2d(8, 8, 3, padding=2, dilation=2),
            nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 4, 3, 2), nn.Dropout(), nn.BatchNorm2d(4),
        ),
        (1, 3, 16, 16),
    ),
    "perceptron": (lambda: nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 9)), (1, 8)),
}  # fmt: skip


def damaged(record, dice):
    """Some facts are gone: shapes, options, weights, links, fields."""

    def spoil(operation):
        changes = {
            "output": dice.choice([(), (1,), (0, 0, 0, 0), operation.output]),
            "options": dice.choice([(), (("stride", "same"), ("padding", "same")),
                                    operation.options]),
            "weights": dice.choice([(), ("nowhere",), operation.weights]),
            "inputs": dice.choice([(), (-9,), (10_000,), operation.inputs]),
            "fields": dice.choice([(), operation.fields]),
            "macs": dice.choice([0, operation.macs]),
            "name": dice.choice(["odd", "conv2d", "linear", operation.name]),
        }  # fmt: skip
        chosen = {key: value for key, value in changes.items() if dice.random() < 0.3}
        return dataclasses.replace(operation, **chosen)

    return dataclasses.replace(
        record,
        operations=tuple(spoil(each) for each in record.operations),
        parameters=record.parameters if dice.random() < 0.7 else (),
        inputs=record.inputs if dice.random() < 0.7 else (),
        outputs=record.outputs if dice.random() < 0.7 else (),
        results=record.results if dice.random() < 0.5 else (),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damaged_record_is_read_without_a_fall(name):
    make, shape = NETWORKS[name]
    record = inspected(make(), shape)
    for seed in range(60):
        for each in diagnose(damaged(record, random.Random(seed))):
            each.paragraphs()
            each.to_json()


def test_what_a_condition_does_not_read_is_not_shown_to_it():
    assert diagnose() == diagnose("a text", 3, None) == ()


def test_the_same_record_gives_the_same_findings():
    make, shape = NETWORKS["decoder"]
    record = inspected(make(), shape)
    first, second = ([each.to_json() for each in diagnose(record)] for _ in range(2))
    assert first == second != []


def test_a_finding_carries_the_group_and_what_it_yields_to_from_its_registration():
    make, shape = NETWORKS["decoder"]
    for each in diagnose(inspected(make(), shape)):
        entry = CONDITIONS.get(each.name)
        assert each.group == entry.facts["group"]
        assert each.yields_to == entry.facts.get("yields_to", ())
