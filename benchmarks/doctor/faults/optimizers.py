"""Faults of the optimizer and its numbers: rates meant for another one, groups of rates, what it
remembers, how its gradients are cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from setups import Parts, Training
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from faults import fault
from faults._stepping import before_the_step
from faults._surgery import rows, weighted

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients", "oscillating-loss")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early")
WHY_HIGH = "what too high a rate does: the loss diverges or swings, units die"
WHY_LOW = "too low a rate is slow, and stops before it has arrived"


class Signs(Optimizer):
    """Each weight moves by the rate, against the sign of its gradient."""

    def __init__(self, weights: Iterable[Any], rate: float) -> None:
        super().__init__(weights, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    each.add_(each.grad.sign(), alpha=-group["lr"])


@fault(
    "sixteen-workers-without-warm-up",
    *HIGH,
    "dead-relu",
    on="segmentation mlp resnet",
    why=WHY_HIGH,
)
def sixteen_workers(parts: Parts) -> None:
    """The rate scaled with a number of machines that this run does not have."""
    parts.rate *= 16
    parts.schedule = None


@fault(
    "signs-in-place-of-gradients",
    *HIGH,
    "noisy-gradients",
    "weak-optimizer",
    "dead-relu",
    on="binary lenet",
    why=WHY_HIGH + "; signs alone are a weak optimizer, as loud at the minimum as far from it",
)
def only_signs(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Signs(weights, 0.02)
    parts.schedule = None


@fault("nadam-at-three-tenths", *HIGH, "dead-relu", on="gru regression", why=WHY_HIGH)
def nadam(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: NAdam(weights, lr=0.3)
    parts.clip = None


@fault("a-rate-of-ten-to-minus-seven", *LOW, on="binary segmentation", why=WHY_LOW)
def mistyped(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: AdamW(weights, lr=1e-7)


@fault(
    "epsilon-of-one-in-rmsprop",
    *LOW,
    "weak-optimizer",
    on="gru autoencoder",
    why="an epsilon far above the gradients leaves an SGD of a tiny rate, a weak optimizer",
)
def epsilon_of_one(parts: Parts) -> None:
    """The epsilon of another framework's recipe."""
    parts.optimizer = lambda weights, _: RMSprop(weights, lr=1e-3, eps=1.0)


@fault(
    "each-layer-a-tenth-of-the-next",
    *LOW,
    "stale-optimizer",
    "frozen-parameters",
    on="lenet deep-relu",
    why="the first layers have hardly a rate: too low, as if frozen, groups apart by powers of ten",
)
def layerwise(parts: Parts) -> None:
    make, layers = parts.optimizer, weighted(parts.model)

    def optimizer(_: Iterable[Any], rate: float) -> Optimizer:
        last = len(layers) - 1
        groups = [
            {"params": list(each.parameters()), "lr": rate * 0.1 ** (1 + last - place)}
            for place, each in enumerate(layers)
        ]
        return make(groups, rate)

    parts.optimizer = optimizer


@fault(
    "momentum-of-0.99-with-nesterov",
    *HIGH,
    "weak-optimizer",
    on="resnet mlp",
    why="its steps are ten times as long as with 0.9: " + WHY_HIGH,
)
def nesterov(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: SGD(weights, lr=2 * rate, momentum=0.99, nesterov=True)
    parts.schedule = None


@fault(
    "batches-of-three-at-a-high-rate",
    *HIGH,
    "noisy-gradients",
    on="regression mlp",
    why="noise that the rate does not average out: a smaller rate would do too",
)
def batches_of_three(parts: Parts) -> None:
    parts.batch, parts.epochs, parts.rate, parts.schedule = 3, 2, 8 * parts.rate, None
    parts.train = rows(parts.train, torch.arange(900))


@fault(
    "an-adam-without-memory",
    *HIGH,
    "weak-optimizer",
    "noisy-gradients",
    on="segmentation",
    why="signs of each batch's gradient: weak, loud at this rate, and it swings",
)
def no_memory(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: Adam(weights, lr=2 * rate, betas=(0.0, 0.0))
    parts.schedule = None


@fault(
    "accumulator-begins-at-a-hundred",
    *LOW,
    "weak-optimizer",
    on="binary autoencoder",
    why="the first value outweighs all gradients: too short steps, by a weak optimizer",
)
def full_accumulator(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Adagrad(weights, lr=0.02, initial_accumulator_value=100)


@fault(
    "each-tensor-clipped-to-a-thousandth",
    *LOW,
    "clipping-every-step",
    on="resnet deep-tanh",
    why="the clip takes nearly all of each step: what is left is too low a rate",
)
def each_clipped(parts: Parts) -> None:
    def change(training: Training) -> None:
        for each in training.model.parameters():
            clip_grad_norm_(each, 1e-3)

    before_the_step(parts, change)


@fault(
    "all-gradients-made-one-length",
    *LOW,
    "clipping-every-step",
    on="mlp deep-tanh",
    why="a clip without its condition: every step is as short as a clipped one",
)
def one_length(parts: Parts) -> None:
    """The limit over the norm, and nobody asks whether the norm is above it."""

    def change(training: Training) -> None:
        found = [each.grad for each in training.model.parameters() if each.grad is not None]
        norm = nn.utils.get_total_norm(found)
        for each in found:
            each.mul_(2e-3 / (norm + 1e-6))

    before_the_step(parts, change)
