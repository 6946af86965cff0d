"""Faults of what holds weights back, or drives them away: penalties, bounds, dropout, glitches."""

from __future__ import annotations

import torch
from setups import Parts, Training
from torch import Tensor, nn

from faults import fault
from faults._stepping import after_the_step, by_batch
from faults._surgery import ACTIVATIONS, swap

HELD = ("over-regularised", "underfitting")
WHY = "weights held back by so much underfit"


def penalised(parts: Parts, penalty: object) -> None:
    """The loop, with a term of the weights in the loss."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        loss = parts.loss(training.model(x), y) + penalty(training.model)
        loss.backward()
        training.optimizer.step()

    by_batch(parts, batch)


@fault(
    "absolute-weights-in-the-loss", "over-regularised", "underfitting", on="lenet binary", why=WHY
)
def absolute(parts: Parts) -> None:
    penalised(parts, lambda model: 0.02 * sum(each.abs().sum() for each in model.parameters()))


@fault(
    "a-penalty-of-the-wrong-sign",
    "divergence",
    "loss-sign",
    "internal-drift",
    "exploding-gradients",
    "over-regularised",
    "nonfinite",
    on="mlp deep-relu",
    why="the weights grow without a bound, and with them activations, gradients and the loss",
)
def wrong_sign(parts: Parts) -> None:
    penalised(parts, lambda model: -0.02 * sum((each * each).sum() for each in model.parameters()))


@fault(
    "channels-dropped-whole", "over-regularised", "underfitting", on="resnet segmentation", why=WHY
)
def channels_dropped(parts: Parts) -> None:
    """Where one in ten was meant, nine in ten are dropped."""
    swap(parts.model, ACTIVATIONS, lambda each: nn.Sequential(each, nn.Dropout2d(0.9)))


@fault(
    "weights-clamped-to-a-hundredth",
    *HELD,
    "weights-too-small",
    "vanishing-gradients",
    on="mlp lenet",
    why=WHY + ": they are too small to carry a signal through",
)
def clamped(parts: Parts) -> None:
    """The bound of a critic, kept for a classifier."""

    @torch.no_grad()
    def change(training: Training) -> None:
        for each in training.model.parameters():
            each.clamp_(-0.01, 0.01)

    after_the_step(parts, change)


@fault(
    "a-glitch-every-fortieth-batch",
    "loss-spike",
    "divergence",
    "nonfinite",
    "unscaled-input",
    "exploding-gradients",
    "dead-relu",
    on="binary deep-relu",
    why="a sensor that fails now and then: a spike each time, from which it does not recover",
)
def a_glitch(parts: Parts) -> None:
    seen = [0]

    def augment(x: Tensor) -> Tensor:
        seen[0] += 1
        if seen[0] % 40:
            return x
        x = x.clone()
        x[:4] *= 1e4
        return x

    parts.augment = augment
