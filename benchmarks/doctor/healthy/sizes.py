"""Odd networks: their width, their norms, the lengths of what they read."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from scores import accuracy
from setups import Watched
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


@kind("before-it-groks", at_least=0.95)
def before_it_groks(seed: int, watched: Watched) -> float:
    """Sums modulo 23: the training half is known by heart long before the other is understood. The
    training accuracy."""
    pairs = torch.cartesian_prod(torch.arange(23), torch.arange(23))
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    pairs = pairs[order]
    sums = pairs.sum(1) % 23
    half = data.Splits(
        (pairs[:265], sums[:265]), (pairs[265:], sums[265:]), (pairs[:265], sums[:265])
    )
    model = nn.Sequential(
        nn.Embedding(23, 32), nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 23)
    )
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.3), half, watched,
        epochs=50, batch=64,
    )  # fmt: skip
    return reached(model, half)


@kind("sequences-of-different-length", at_least=0.9)
def different_length(seed: int, watched: Watched) -> float:
    """Packed: every batch has another shape."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(2, 24, batch_first=True), nn.Linear(24, 4)

        def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
            packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
            return self.head(self.cell(packed)[1][0][-1])

    waves = data.waves(seed)
    model = Packed()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches(waves.train, 64, 9):
            longest = int(torch.randint(14, 21, ()))
            lengths = torch.randint(10, longest + 1, (len(x),))
            optimizer.zero_grad()
            F.cross_entropy(model(x[:, :longest], lengths), y).backward()
            optimizer.step()
    x, y = waves.test
    return accuracy(model(x, torch.full((len(x),), 20)), y)


@kind("norm-after-the-sum", at_least=0.9)
def norm_after_the_sum(seed: int, watched: Watched) -> float:
    """A post-norm encoder with a warm-up, as in the paper of 2017."""
    tokens = data.tokens(seed)
    model = nn.Sequential(
        nn.Embedding(10, 24),
        nn.TransformerEncoderLayer(24, 4, 48, dropout=0.0, batch_first=True),
        nn.Flatten(), nn.Linear(288, 4),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=3e-3)
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 40))
    fit(model, optimizer, tokens, watched, epochs=7, schedule=plan)
    return reached(model, tokens)


@kind("bytes-into-a-batch-norm", at_least=0.93)
def bytes_into_a_norm(seed: int, watched: Watched) -> float:
    """Inputs of 0 to 255 that the first layer standardises."""
    digits = data.Splits(*((255 * x, y) for x, y in data.digits(seed)))
    model = nn.Sequential(nn.BatchNorm2d(1), small_lenet())
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=7)
    return reached(model, digits)


@kind("a-network-far-too-wide", at_least=0.92)
def far_too_wide(seed: int, watched: Watched) -> float:
    """A hundred times more parameters than samples, and it generalises."""
    digits = data.digits(seed)
    model = stack([64, 1024, 10])
    fit(model, Adam(model.parameters(), lr=1e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("a-narrow-waist-that-suffices", at_least=0.85)
def narrow_waist(seed: int, watched: Watched) -> float:
    """Two classes through two units."""
    table = data.table_of_two(seed)
    model = stack([12, 48, 2, 16, 1])
    fit(
        model, Adam(model.parameters(), lr=1e-2), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=16,
    )  # fmt: skip
    return reached(
        model, table, lambda output, y: float(((output > 0) == (y > 0.5)).float().mean())
    )


@kind("a-group-norm-in-batches-of-two", at_least=0.9)
def group_norm_in_small_batches(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.GroupNorm(3, 12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(192, 10),
    )  # fmt: skip
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.5)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in itertools.islice(batches(digits.train, 2, 2), 900):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)
