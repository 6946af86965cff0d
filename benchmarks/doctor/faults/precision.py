"""Faults of mixed and half precision: scales that nobody takes away, numbers too small for it."""

from __future__ import annotations

import torch
from setups import Parts, Training, judged
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from faults import fault
from faults._stepping import by_batch
from faults._surgery import on_inputs, on_targets


def scaler_of(training: Training) -> torch.amp.GradScaler:
    """The scaler of the run, as mixed precision has it by default."""
    if not training.kept:
        training.kept.append(torch.amp.GradScaler("cpu"))
    return training.kept[0]


@fault(
    "half-precision-everywhere",
    "mixed-precision-trouble",
    "nonfinite",
    "weak-optimizer",
    on="lenet regression",
    why="Adam's epsilon of 1e-8 is zero in half precision: it divides by zero",
)
def all_in_half(parts: Parts) -> None:
    parts.model.half()
    on_inputs(parts, Tensor.half, "train val")
    if parts.train[1].is_floating_point():
        on_targets(parts, Tensor.half, "train val")
    parts.judge = lambda parts, model: judged(parts, model.float())


@fault(
    "scaled-and-never-unscaled",
    "mixed-precision-trouble",
    "learning-rate-too-high",
    "divergence",
    "exploding-gradients",
    "nonfinite",
    "dead-relu",
    on="mlp deep-tanh",
    why="every gradient is 65,536 times too large: the loss diverges, as at too high a rate",
)
def never_unscaled(parts: Parts) -> None:
    """`optimizer.step()`, where `scaler.step(optimizer)` belongs."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = parts.loss(training.model(x), y)
        scaler_of(training).scale(loss).backward()
        training.optimizer.step()

    by_batch(parts, batch)


@fault(
    "clipped-before-unscaling",
    "mixed-precision-trouble",
    "clipping-every-step",
    "learning-rate-too-low",
    "slow-convergence",
    on="resnet deep-tanh",
    why="the clip meets gradients 65,536 times too large: what is left is too low a rate",
)
def clipped_before_unscaling(parts: Parts) -> None:
    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        scaler = scaler_of(training)
        training.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = parts.loss(training.model(x), y)
        scaler.scale(loss).backward()
        clip_grad_norm_(training.model.parameters(), 1.0)
        scaler.step(training.optimizer)
        scaler.update()

    by_batch(parts, batch)
