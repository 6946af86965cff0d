"""Odd loops: streams, early stops, models called as functions, several trainings in a process."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from setups import Watched, small_lenet, stack
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, IterableDataset

import data
from data import Pair
from healthy import kind
from healthy._plain import reached


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Rows without an end, drawn anew."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = self.pair
        while True:
            at = int(torch.randint(len(x), ()))
            yield x[at], y[at]


@kind("a-stream-judged-each-ten-steps", at_least=0.9)
def stream(seed: int, watched: Watched) -> float:
    """An iterable data set without length; a validation each ten steps; stopped by patience."""
    digits = data.digits(seed)
    loader = DataLoader(Stream(digits.train), batch_size=32)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=2e-3)
    best, kept, waited = 9.0, copy.deepcopy(model.state_dict()), 0
    with watched(model, optimizer):
        for step, (x, y) in enumerate(loader):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step % 10 == 9:
                model.eval()
                with torch.no_grad():
                    loss = float(F.cross_entropy(model(digits.val[0]), digits.val[1]))
                waited = 0 if loss < best else waited + 1
                if loss < best:
                    best, kept = loss, copy.deepcopy(model.state_dict())
                if waited == 8 or step > 900:
                    break
    model.load_state_dict(kept)
    return reached(model, digits)


@kind("called-as-a-function", at_least=0.9)
def as_a_function(seed: int, watched: Watched) -> float:
    """The network runs by `functional_call`, its parameters in a dictionary of their own."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    weights = dict(model.named_parameters())
    optimizer = Adam(weights.values(), lr=5e-3)

    def objective(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    with watched(model, optimizer):
        for _ in range(8):
            for rows in torch.randperm(len(digits.train[0])).split(64):
                x, y = digits.train[0][rows], digits.train[1][rows]
                slopes = torch.func.grad(objective)(weights, x, y)
                for name, each in weights.items():
                    each.grad = slopes[name].detach()
                optimizer.step()
    return reached(model, digits)


@kind("folds-in-one-process", at_least=0.9)
def folds(seed: int, watched: Watched) -> float:
    """Cross-validation of a new model for each fold: the mean over three."""
    digits = data.digits(seed)
    x = torch.cat([digits.train[0], digits.val[0]])
    y = torch.cat([digits.train[1], digits.val[1]])
    total = 0.0
    for fold in range(3):
        out = torch.arange(len(x)) % 3 == fold
        model: nn.Module = stack([64, 64, 10])
        optimizer = Adam(model.parameters(), lr=5e-3)
        with watched(model, optimizer):
            for _ in range(6):
                for rows in (~out).nonzero()[:, 0][torch.randperm(int((~out).sum()))].split(64):
                    optimizer.zero_grad()
                    F.cross_entropy(model(x[rows]), y[rows]).backward()
                    optimizer.step()
        with torch.no_grad():
            total += float((model(x[out]).argmax(1) == y[out]).float().mean())
    return total / 3
