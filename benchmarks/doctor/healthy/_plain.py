"""The loop that most kinds share, and what they measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def fit(
    model: nn.Module,
    optimizer: Optimizer,
    data: Splits,
    watched: Watched,
    *,
    epochs: int = 8,
    batch: int = 64,
    loss: Loss = F.cross_entropy,
    augment: Callable[[Tensor], Tensor] | None = None,
    schedule: Any = None,
    after_step: Callable[[], object] | None = None,
    clip: float | None = None,
    shuffle: bool = True,
    validated: bool = True,
) -> None:
    """Epochs of batches and a validation after each, written as everybody writes them."""
    train = DataLoader(TensorDataset(*data.train), batch_size=batch, shuffle=shuffle)
    val = DataLoader(TensorDataset(*data.val), batch_size=256)
    first = tuple(each[:batch].clone() for each in data.train)
    with watched(model, optimizer, loss=loss, batch=first):
        for _ in range(epochs):
            model.train()
            for x, y in train:
                if augment is not None:
                    x = augment(x)
                optimizer.zero_grad()
                value = loss(model(x), y)
                value.backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                if after_step is not None:
                    after_step()
            if validated:
                model.eval()
                with torch.no_grad():
                    for x, y in val:
                        output = model(x)
                        loss(output, y)
                        if y.dtype == torch.long and output.ndim == 2:
                            (output.argmax(1) == y).sum().item()


def batches(pair: Pair, size: int, epochs: int) -> Iterator[Pair]:
    """Batches of shuffled epochs, by index."""
    x, y = pair
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(size):
            yield x[rows], y[rows]


@torch.no_grad()
def reached(model: nn.Module, data: Splits, score: Callable[..., float] = accuracy) -> float:
    """The score on the test data, in evaluation mode."""
    model.eval()
    return score(model(data.test[0]), data.test[1])


def steps_of(data: Splits, epochs: int, batch: int = 64) -> int:
    return epochs * -(-len(data.train[0]) // batch)
