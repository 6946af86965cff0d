"""`netwright check MODEL --gradients`: its table, its document, its status, what it refuses."""

from __future__ import annotations

import json

import pytest

SOURCE = """
import torch
from torch import nn

class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ x, grad.mean(0)

class Head(nn.Linear):
    def forward(self, x):
        return Affine.apply(x, self.weight, self.bias)

def make(num_classes=10, input_size=(8, 8)):
    pixels = input_size[0] * input_size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 16), nn.ReLU(), Head(16, num_classes))
"""


@pytest.fixture
def wrong(tmp_path):
    (tmp_path / "model.py").write_text(SOURCE)
    return "model.py:make"


def test_a_sound_network_gives_its_table_and_status_0(netwright, tmp_path):
    answer = netwright("check", "lenet5", "--gradients")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == [
        "tensor", "shape", "directions", "entries", "error", "known", "to", "verdict"
    ]  # fmt: skip
    assert lines[-1].startswith("OK    Backprop is the numeric derivative. Tensors: 11,")
    assert not list(tmp_path.iterdir())


def test_a_wrong_gradient_is_named_and_gives_status_4(netwright, wrong):
    answer = netwright("check", wrong, "--gradients", "--input", "1x8x8", "--batch", "4")
    assert answer.status == 4
    assert "STOP  3.bias: backprop gives 0.25 times the derivative." in answer.out
    assert "STOP  The backward pass of 3 is wrong by itself." in answer.out
    never = netwright(
        "check", wrong, "--gradients", "--input", "1x8x8", "--fail-on", "never"
    )  # fmt: skip
    assert never.status == 0


def test_with_data_the_loss_on_their_first_images_is_checked(netwright, wrong):
    assert netwright("check", "digits", "mlp", "--gradients", "model.hidden=[8]").status == 0
    answer = netwright("check", "digits", wrong, "--gradients")
    assert answer.status == 4
    assert "3.bias: backprop gives 0.125 times" in answer.out  # a mean over eight images


def test_weights_of_classes_are_taken_into_float64_as_well(netwright):
    words = ("check", "digits", "mlp", "--gradients", "model.hidden=[8]")
    assert netwright(*words, "loss.class_weights=balanced").status == 0


def test_the_document_has_the_keys_of_every_check_and_the_rows(netwright, wrong):
    answer = netwright("check", wrong, "--gradients", "--input", "1x8x8", "--json")
    document = json.loads(answer.out)
    assert {"command", "status", "findings", "run", "cost", "exit"} <= set(document)
    assert document["exit"] == 4
    found = document["gradients"]
    assert (found["ok"], found["worst"]["name"], found["blamed"]) == (False, "3.bias", ["3"])
    rows = {each["name"]: each["verdict"] for each in found["rows"]}
    assert rows["3.bias"] == "wrong"
    assert rows["1.weight"] == "ok"


def test_it_speaks_chinese(netwright, wrong, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_LANG", "zh")
    answer = netwright("check", wrong, "--gradients", "--input", "1x8x8")
    assert "3.bias：反向传播给出的是导数的 0.5 倍。" in answer.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lenet5", "--input", "1x8x8"), "--input is for a check of gradients"),
        (("digits", "--batch", "3"), "Add --gradients."),
        (("lenet5", "--gradients", "--seconds", "3"), "--seconds is for the check before"),
        (("lenet5", "--gradients", "--batch", "0"), "--batch: expected at least 1, not 0"),
        (("lenet5", "--gradients", "optim.lr=1"), "optim.lr is no setting of a network"),
        (("resnet21", "--gradients"), 'No model called "resnet21"'),
        (("digits", "mlp", "--gradients", "--input", "1x8x8"), "DATA have a shape of their own"),
        (("model.py:make", "--gradients"), "give the shape of one sample"),
    ],
)
def test_what_does_not_fit_is_refused(netwright, wrong, words, said):
    answer = netwright("check", *words)
    assert answer.status == 2
    assert said in answer.err
