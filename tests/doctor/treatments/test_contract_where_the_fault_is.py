"""The contract of every treatment, on courses that have its fault."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.treatments import TREATMENTS
from netwright.testing.treatments import check_plans, finding_of


def groups():
    torch.manual_seed(0)
    y = torch.arange(96) % 4
    x = 3 * torch.randn(4, 6)[y] + 0.3 * torch.randn(96, 6)
    order = torch.randperm(96)
    return x[order], y[order]


def classes(*last, outputs=4):
    return nn.Sequential(nn.Linear(6, outputs), *last)


def labelled(change):
    x, y = groups()
    return classes(), nn.CrossEntropyLoss(), x, change(y), None


def of_training(change):
    x, y = groups()
    return classes(), nn.CrossEntropyLoss(), x[:60], change(y[:60]), (x[60:], y[60:])


def of_inputs(change):
    x, y = groups()
    return classes(), nn.CrossEntropyLoss(), change(x), y, None


def spoilt(value):
    def change(x):
        x = x.clone()
        x[3, 2] = value
        return x

    return change


def later(change):
    x, y = groups()
    return classes(), nn.CrossEntropyLoss(), x[:60], y[:60], (change(x[60:]), y[60:])


def numbers(loss, *last, scale=1.0):
    x, _ = groups()
    return classes(*last, outputs=2), loss, x, scale * x[:, :2], None


CASES = {
    "remove-softmax, softmax-before-cross-entropy, a module": lambda: (
        classes(nn.Softmax(1)), nn.CrossEntropyLoss(), *groups(), None,
    ),
    "remove-sigmoid, sigmoid-before-bce-with-logits, a module": lambda: (
        classes(nn.Sigmoid(), outputs=1), nn.BCEWithLogitsLoss(), groups()[0],
        (groups()[1] > 1).float()[:, None], None,
    ),
    "change-last-activation, output-activation-mismatch, relu": lambda: numbers(
        nn.MSELoss(), nn.ReLU()
    ),
    "right-loss, loss-mismatch, nll of logits": lambda: (classes(), F.nll_loss, *groups(), None),
    "same-shape, silent-broadcast, a row": lambda: (
        classes(outputs=1), lambda o, t: ((o - t) ** 2).mean(), groups()[0], groups()[0][:, 0],
        None,
    ),
    "flip-sign, loss-sign, minus": lambda: numbers(lambda o, t: -F.mse_loss(o, t)),
    "standardise-input, unscaled-input, columns": lambda: of_inputs(lambda x: 1000 * x + 9000),
    "standardise-target, unscaled-target, thousands": lambda: numbers(nn.MSELoss(), scale=5e3),
    "impute, nonfinite-input, a hole": lambda: of_inputs(spoilt(math.nan)),
    "clean-data, nonfinite, infinity": lambda: of_inputs(spoilt(math.inf)),
    "drop-feature, dead-feature, zero": lambda: of_inputs(lambda x: x * (torch.arange(6) != 2)),
    "one-transform, inconsistent-preprocessing, scaled": lambda: later(lambda x: 3 * x + 4),
    "cast-target, label-dtype, floats": lambda: labelled(lambda y: y.float()),
    "shift-labels, labels-shifted, from one": lambda: labelled(lambda y: y + 1),
    "map-labels, labels-out-of-range, below": lambda: of_training(
        lambda y: y.where(torch.arange(60) % 5 > 0, -1)
    ),
    "map-labels, labels-inconsistent, numbered anew": lambda: of_training(lambda y: (y + 1) % 4),
    "align-labels, labels-inconsistent, one row": lambda: of_training(lambda y: y.roll(1)),
    "clean-labels, label-noise, some": lambda: of_training(
        lambda y: torch.where(torch.arange(60) % 6 == 0, (y + 1) % 4, y)
    ),
    "bias-at-prior, initial-loss-off, numbers": lambda: numbers(nn.MSELoss(), scale=0.1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_treatment_keeps_its_contract_where_its_fault_is(case, begun, plans):
    treatment, condition, _ = case.split(", ")
    course = begun(*CASES[case]())
    assert plans(course, treatment, condition)
    check_plans(TREATMENTS.get(treatment), course, finding_of(condition, treatment, course))
