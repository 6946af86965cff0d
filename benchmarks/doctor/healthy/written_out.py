"""Odd losses: the usual ones in other words, which come to the same."""

from __future__ import annotations

import torch.nn.functional as F
from scores import accuracy_of_two
from setups import Watched
from torch import nn
from torch.optim import Adam

import data
from healthy import kind
from healthy._plain import fit, reached
from networks import small_lenet, stack


@kind("softmax-and-log-written-out", at_least=0.9)
def softmax_and_log(seed: int, watched: Watched) -> float:
    """A softmax in the model, and a loss that wants probabilities: right."""
    digits = data.digits(seed)
    model = small_lenet().append(nn.Softmax(1))
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched,
        loss=lambda p, y: F.nll_loss((p + 1e-8).log(), y),
    )  # fmt: skip
    return reached(model, digits)


@kind("log-softmax-and-nll", at_least=0.9)
def log_softmax_and_nll(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet().append(nn.LogSoftmax(1))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, loss=nn.NLLLoss())
    return reached(model, digits)


@kind("log-softmax-before-cross-entropy", at_least=0.9)
def log_softmax_twice(seed: int, watched: Watched) -> float:
    """The second log-softmax changes nothing."""
    digits = data.digits(seed)
    model = small_lenet().append(nn.LogSoftmax(1))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("sigmoid-and-bce", at_least=0.85)
def sigmoid_and_bce(seed: int, watched: Watched) -> float:
    table = data.table_of_two(seed)
    model = stack([12, 64, 32, 1]).append(nn.Sigmoid())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.BCELoss(), epochs=12
    )  # fmt: skip
    return reached(model, table, lambda p, y: accuracy_of_two(p - 0.5, y))
