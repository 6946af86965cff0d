"""Faults of how long the steps are: rates from elsewhere, plans in the wrong unit, clips in the
wrong place, runs that end before they have begun."""

from __future__ import annotations

import torch
from setups import Parts, Training, validate
from torch import Tensor
from torch.optim import LBFGS, Adagrad, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LinearLR

from faults import fault
from faults._stepping import by_batch, usual

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients", "oscillating-loss")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early", "loss-plateau")
WHY_HIGH = "what too high a rate does: the loss diverges or swings, units die"
WHY_LOW = "too low a rate is slow, and stops before it has arrived"


@fault("adagrad-at-a-rate-of-five", *HIGH, "dead-relu", on="lenet regression", why=WHY_HIGH)
def adagrad_at_five(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: Adagrad(weights, lr=5.0)


@fault(
    "rate-multiplied-by-the-batch",
    *HIGH,
    "dead-relu",
    "nonfinite",
    on="gru resnet",
    why=WHY_HIGH,
)
def times_the_batch(parts: Parts) -> None:
    """A rate for each sample, where the loss is a mean over them already."""
    parts.rate *= parts.batch
    parts.clip = None


@fault("one-over-the-step", *LOW, "scheduler-misuse", on="transformer mlp", why=WHY_LOW)
def one_over_the_step(parts: Parts) -> None:
    """The plan of the theorems, counted in steps: after a hundred of them a hundredth is left."""
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: LambdaLR(
        optimizer, lambda step: 1.0 / (1.0 + step)
    )


@fault("a-rate-for-fine-tuning", *LOW, on="resnet deep-relu", why=WHY_LOW)
def fine_tuning(parts: Parts) -> None:
    """2e-5, from the recipe of a network that had been trained before."""
    parts.optimizer = lambda weights, _: AdamW(weights, lr=2e-5, weight_decay=0.01)
    parts.schedule = None


@fault("linear-to-zero-too-soon", *LOW, "scheduler-misuse", on="gru binary", why=WHY_LOW)
def linear_too_soon(parts: Parts) -> None:
    """Down to zero in as many steps as there are epochs."""
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: LinearLR(
        optimizer, start_factor=1.0, end_factor=0.0, total_iters=epochs
    )


@fault("stepped-in-the-validation-loop", *LOW, "scheduler-misuse", on="lenet mlp", why=WHY_LOW)
def stepped_in_validation(parts: Parts) -> None:
    """`schedule.step()` has slipped into the loop over the validation batches."""

    def loop(training: Training) -> None:
        schedule = ExponentialLR(training.optimizer, 0.6)
        for _ in range(parts.epochs):
            training.model.train()
            for number, (x, y) in enumerate(training.train):
                usual(training, x, y, number)
            validate(training)
            for _ in training.val:
                schedule.step()

    parts.loop, parts.schedule = loop, None


@fault(
    "ended-at-thirty-steps",
    "stopped-early",
    "slow-convergence",
    on="deep-relu transformer",
    why="it was falling steadily when it was stopped",
)
def thirty_steps(parts: Parts) -> None:
    """`max_steps=30` is left from a trial, and counts before the epochs do."""

    def loop(training: Training) -> None:
        number = 0
        for _ in range(parts.epochs):
            training.model.train()
            for x, y in training.train:
                if number < 30:
                    usual(training, x, y, number)
                    number += 1
            validate(training)
            if number >= 30:
                break

    parts.loop, parts.schedule = loop, None


@fault(
    "a-memory-of-ten-thousand",
    *LOW,
    *HIGH,
    "weak-optimizer",
    on="lenet",
    why="it goes by gradients of long ago: a weak optimizer that is slow to turn, then overshoots",
)
def long_memory(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: Adam(weights, lr=rate, betas=(0.9999, 0.99999))


@fault(
    "lbfgs-on-batches",
    *HIGH,
    "weak-optimizer",
    "noisy-gradients",
    "nonfinite",
    "dead-relu",
    on="mlp",
    why="its curvature is that of another batch: steps of chance, far too long: " + WHY_HIGH,
)
def lbfgs(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: LBFGS(weights, lr=1.0, max_iter=4)
    parts.schedule = None

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        def closure() -> Tensor:
            training.optimizer.zero_grad()
            loss = parts.loss(training.model(x), y)
            loss.backward()
            return loss

        training.optimizer.step(closure)

    by_batch(parts, batch)


@fault("clamped-by-hooks", *LOW, "clipping-every-step", on="mlp deep-tanh", why=WHY_LOW)
def clamped_by_hooks(parts: Parts) -> None:
    for each in parts.model.parameters():
        each.register_hook(lambda gradient: gradient.clamp(-1e-6, 1e-6))


@fault(
    "lost-in-half-precision",
    *LOW,
    "mixed-precision-trouble",
    "weights-do-not-change",
    on="mlp resnet",
    why="most of each gradient is too small for half precision and becomes zero",
)
def lost_in_half(parts: Parts) -> None:
    """Gradients are sent in half precision, of a loss that was made small against overflow."""
    scale = 2.0**-22

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        (parts.loss(training.model(x), y) * scale).backward()
        with torch.no_grad():
            for each in training.model.parameters():
                each.grad.copy_(each.grad.half().float() / scale)
        training.optimizer.step()

    by_batch(parts, batch)
