"""Optimizers as the set-ups use them, with plans of their rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, StepLR


def sgd(parameters: Iterable[Any], rate: float) -> Optimizer:
    return SGD(parameters, lr=rate, momentum=0.9)


def adam(parameters: Iterable[Any], rate: float) -> Optimizer:
    return Adam(parameters, lr=rate)


def adamw(parameters: Iterable[Any], rate: float) -> Optimizer:
    return AdamW(parameters, lr=rate, weight_decay=0.01)


def rmsprop(parameters: Iterable[Any], rate: float) -> Optimizer:
    return RMSprop(parameters, lr=rate)


def cosine(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return CosineAnnealingLR(optimizer, epochs * steps)


def warm_cosine(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    every, warm = epochs * steps, 20

    def factor(step: int) -> float:
        return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(step / every, 1))) + 1e-3)

    return LambdaLR(optimizer, factor)


def staircase(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return StepLR(optimizer, max(epochs * 2 // 3, 1), 0.2)


def one_cycle(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=epochs * steps + 1)
