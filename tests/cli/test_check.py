"""`netwright check`: what would be trained is looked at before its first step."""

from __future__ import annotations

import json

import pytest


def test_a_healthy_recipe_gives_status_0_and_leaves_nothing(netwright, tmp_path):
    answer = netwright("check", "digits", "mlp")
    assert answer.status == 0
    assert not list(tmp_path.iterdir())


def test_the_document_has_the_keys_of_the_doctor(netwright):
    document = json.loads(netwright("check", "digits", "mlp", "--json").out)
    assert {"command", "status", "findings", "run", "cost", "exit"} <= set(document)
    assert document["run"] is None


@pytest.fixture
def sick(tmp_path):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\ndef make(num_classes, input_size):\n"
        "    pixels = input_size[0] * input_size[1]\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, num_classes), nn.Softmax(1))\n"
    )
    return "model.py:make"


def test_a_network_that_ends_in_a_softmax_is_named(netwright, sick):
    answer = netwright("check", "digits", sick)
    assert answer.status == 4
    assert "STOP     softmax-before-cross-entropy" in answer.out
    assert netwright("check", "digits", sick, "--fail-on", "never").status == 0


def test_a_recipe_file_may_stand_for_the_data(netwright, sick, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"data: digits\nmodel: {sick}\n")
    assert netwright("check", "mine.yaml").status == 4


def test_what_cannot_be_trained_cannot_be_checked(netwright):
    assert netwright("check").status == 2
    assert "No model called" in netwright("check", "digits", "resnet8").err


def test_what_no_time_was_left_for_is_said(netwright):
    answer = netwright("check", "digits", "resnet20", "data.size=12", "--seconds", "0.5", "--json")
    left = json.loads(answer.out)["left_out"]
    assert left["seconds"] == 0.5
    assert left["late"] or left["shed"]
