"""Training as most scripts write it: a function for an epoch, one that judges, a last test."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from scores import accuracy
from setups import Watched
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

from data import Pair, Splits

Loss = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], float]


def train_epoch(
    model: nn.Module, loader: DataLoader[Any], loss: Loss, optimizer: Optimizer
) -> float:
    """The mean loss of the samples."""
    model.train()
    running = 0.0
    for inputs, targets in loader:
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        running += value.item() * len(inputs)
    return running / len(loader.dataset)


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: DataLoader[Any], loss: Loss, score: Score
) -> tuple[float, float]:
    """Loss and score of a set."""
    model.eval()
    running, outputs, answers = 0.0, [], []
    for inputs, targets in loader:
        output = model(inputs)
        running += loss(output, targets).item() * len(inputs)
        outputs.append(output)
        answers.append(targets)
    return running / len(loader.dataset), score(torch.cat(outputs), torch.cat(answers))


def loaders(sets: Splits, batch: int, drop_last: bool = False) -> list[DataLoader[Any]]:
    train, *others = (TensorDataset(*each) for each in sets)
    first = DataLoader(train, batch_size=batch, shuffle=True, drop_last=drop_last)
    return [first, *(DataLoader(each, batch_size=batch) for each in others)]


def taught(
    model: nn.Module,
    optimizer: Optimizer,
    sets: Splits,
    watched: Watched,
    *,
    epochs: int,
    batch: int = 32,
    loss: Loss = F.cross_entropy,
    score: Score = accuracy,
    schedule: Any = None,
    patience: int | None = None,
    keep_best: bool = False,
    drop_last: bool = False,
    judged_each_epoch: bool = True,
) -> float:
    """Epochs, a validation after each, a schedule by the epoch; stops when nothing gets better for
    `patience` epochs; goes back to the best weights if asked. The score on the test data."""
    train, val, test = loaders(sets, batch, drop_last)
    first: Pair = (sets.train[0][:batch].clone(), sets.train[1][:batch].clone())
    best, kept, since = float("inf"), copy.deepcopy(model.state_dict()), 0
    with watched(model, optimizer, loss=loss, batch=first):
        for _ in range(epochs):
            train_epoch(model, train, loss, optimizer)
            if schedule is not None:
                schedule.step()
            if not judged_each_epoch:
                continue
            now, _ = evaluate(model, val, loss, score)
            since += 1
            if now < best:
                best, since = now, 0
                if keep_best:
                    kept = copy.deepcopy(model.state_dict())
            if patience is not None and since >= patience:
                break
        if keep_best:
            model.load_state_dict(kept)
        return evaluate(model, test, loss, score)[1]
