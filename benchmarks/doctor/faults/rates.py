"""Faults of rate, plan and optimizer."""

from __future__ import annotations

import torch
from setups import Parts
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    OneCycleLR,
    StepLR,
)

from faults import fault
from faults._surgery import on_inputs, rows, swap

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early")
WHY_LOW = "too low a rate is slow, and stops before it has arrived"


def every_step(parts: Parts, make: object) -> None:
    parts.schedule = make
    parts.schedule_every = "step"


@fault(
    "rate-times-30",
    *HIGH,
    on="deep-tanh gru transformer resnet",
    why="what too high a rate does: the loss diverges, gradients explode",
)
def rate_times_30(parts: Parts) -> None:
    parts.rate *= 30
    parts.clip = None


@fault(
    "rate-times-300",
    *HIGH,
    "nonfinite",
    on="lenet binary autoencoder segmentation",
    why="what too high a rate does: the loss diverges, up to overflow",
)
def rate_times_300(parts: Parts) -> None:
    parts.rate *= 300


@fault(
    "rate-of-one",
    *HIGH,
    "dead-relu",
    "oscillating-loss",
    on="mlp deep-relu regression",
    why="what too high a rate does: divergence, dead units, oscillation",
)
def rate_of_one(parts: Parts) -> None:
    parts.rate = 1.0


@fault("rate-by-thousand", *LOW, on="mlp lenet resnet regression", why=WHY_LOW)
def rate_by_thousand(parts: Parts) -> None:
    parts.rate /= 1000


@fault("rate-by-hundred", *LOW, on="transformer gru autoencoder deep-relu", why=WHY_LOW)
def rate_by_hundred(parts: Parts) -> None:
    parts.rate /= 100


@fault(
    "epsilon-of-ten",
    "learning-rate-too-low",
    "weak-optimizer",
    "slow-convergence",
    on="lenet regression deep-relu",
    why="an epsilon far above the gradients makes Adam an SGD of a tiny rate",
)
def epsilon_of_ten(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: Adam(weights, lr=rate, eps=10.0)


@fault(
    "momentum-of-0.999",
    "oscillating-loss",
    "learning-rate-too-high",
    "weak-optimizer",
    "divergence",
    on="mlp deep-tanh resnet",
    why="the effective rate is a thousand times the rate: it swings around the minimum",
)
def momentum_of_0999(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: SGD(weights, lr=rate, momentum=0.999)


@fault(
    "swings-at-the-edge",
    "oscillating-loss",
    "learning-rate-too-high",
    on="mlp deep-tanh lenet",
    why="an oscillation of the loss is what a rate above the edge of stability does",
)
def swings_at_the_edge(parts: Parts) -> None:
    """Full batches at a rate beyond the edge."""
    parts.batch = 600
    parts.epochs *= 6
    parts.optimizer = lambda weights, _: SGD(weights, lr=1.2, momentum=0.9)


@fault(
    "a-tenth-after-every-epoch",
    "scheduler-misuse",
    "learning-rate-too-low",
    "loss-plateau",
    "stopped-early",
    "slow-convergence",
    on="deep-tanh lenet autoencoder",
    why="the schedule exhausts the rate: a flat loss at a rate that is too low",
)
def a_tenth_after_every_epoch(parts: Parts) -> None:
    parts.rate /= 4
    parts.schedule = lambda optimizer, epochs, steps: StepLR(optimizer, 1, 0.1)


@fault(
    "epoch-schedule-stepped-per-batch",
    "scheduler-misuse",
    "learning-rate-too-low",
    on="mlp regression gru",
    why="stepped in the wrong place: the rate is gone after the first epoch",
)
def epoch_schedule_per_batch(parts: Parts) -> None:
    every_step(parts, lambda optimizer, epochs, steps: StepLR(optimizer, 2, 0.5))


@fault(
    "cosine-over-before-it-begins",
    "scheduler-misuse",
    "learning-rate-too-low",
    on="resnet transformer bn-mlp",
    why="the period was given in epochs and is counted in steps; the rate goes up and down",
)
def cosine_of_a_few_steps(parts: Parts) -> None:
    def make(optimizer: Optimizer, epochs: int, steps: int) -> object:
        return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / epochs) + 1e-9)

    every_step(parts, make)


@fault(
    "one-cycle-stepped-per-epoch",
    "scheduler-misuse",
    "learning-rate-too-low",
    "slow-convergence",
    on="bn-mlp mlp lenet",
    why="the rate stays at the foot of its warm-up",
)
def one_cycle_per_epoch(parts: Parts) -> None:
    def make(optimizer: Optimizer, epochs: int, steps: int) -> object:
        return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=epochs * steps)

    parts.schedule, parts.schedule_every = make, "epoch"


@fault(
    "warm-up-longer-than-the-training",
    *LOW,
    "scheduler-misuse",
    on="transformer resnet gru",
    why="a plan whose warm-up never ends is misused, and leaves a rate that is too low",
)
def endless_warm_up(parts: Parts) -> None:
    every_step(
        parts,
        lambda optimizer, epochs, steps: LambdaLR(optimizer, lambda step: (step + 1) / 100_000),
    )


@fault(
    "a-rate-that-grows",
    "divergence",
    "learning-rate-too-high",
    "scheduler-misuse",
    "exploding-gradients",
    on="mlp deep-tanh regression",
    why="gamma above 1: the schedule drives the rate up until the loss diverges",
)
def a_rate_that_grows(parts: Parts) -> None:
    every_step(parts, lambda optimizer, epochs, steps: ExponentialLR(optimizer, 1.03))


@fault(
    "ends-at-the-highest-rate",
    "scheduler-misuse",
    "learning-rate-too-high",
    on="lenet transformer bn-mlp",
    why="a cosine that has come up again when the training ends, at a rate too high",
)
def ends_at_the_highest_rate(parts: Parts) -> None:
    parts.rate *= 8
    every_step(
        parts,
        lambda optimizer, epochs, steps: CosineAnnealingLR(optimizer, epochs * steps // 2),
    )


@fault(
    "one-sample-batches-at-a-high-rate",
    "noisy-gradients",
    "learning-rate-too-high",
    "oscillating-loss",
    on="mlp lenet binary",
    why="noise that the rate does not average out: a smaller rate would do too",
)
def one_sample_batches(parts: Parts) -> None:
    parts.batch, parts.epochs = 1, 2
    parts.train = rows(parts.train, torch.arange(500))


@fault(
    "one-batch-for-all",
    "wasteful-batch",
    *LOW,
    on="mlp gru regression",
    why="one step an epoch: too few steps for the rate",
)
def one_batch_for_all(parts: Parts) -> None:
    parts.batch = len(parts.train[0])
    parts.clip = None


@fault(
    "one-corrupt-batch",
    "loss-spike",
    "divergence",
    "nonfinite",
    "unscaled-input",
    "exploding-gradients",
    on="mlp regression deep-tanh",
    why="a few samples 1e5 times too large: a spike after which the training does not recover",
)
def one_corrupt_batch(parts: Parts) -> None:
    """Late in the training the augmentation returns a batch in other units."""
    seen = [0]

    def augment(x: torch.Tensor) -> torch.Tensor:
        seen[0] += 1
        return x * 3e4 if seen[0] in (120, 121, 122) else x

    parts.augment = augment
    parts.epochs = 9


@fault(
    "an-epoch-and-no-more",
    "stopped-early",
    "slow-convergence",
    on="mlp transformer deep-tanh",
    why="it was falling steadily when it was stopped",
)
def an_epoch_and_no_more(parts: Parts) -> None:
    parts.epochs = 2
    parts.schedule = None
    parts.rate /= 4


@fault(
    "plain-sgd-on-an-ill-conditioned-problem",
    "weak-optimizer",
    *LOW,
    "unscaled-input",
    on="regression binary gru",
    why="no momentum where the curvatures differ by thousands: slow in the flat directions; "
    "the features of different size are why",
)
def plain_sgd(parts: Parts) -> None:
    parts.optimizer = lambda weights, _: SGD(weights, lr=0.005)
    size = torch.logspace(0, -1.3, parts.train[0].shape[-1])
    on_inputs(parts, lambda x: x * size)


@fault(
    "clipped-to-a-ten-thousandth",
    "clipping-every-step",
    "learning-rate-too-low",
    on="mlp deep-tanh resnet",
    why="the clip takes nearly all of each step: the rate that is left is too low",
)
def clipped_to_nothing(parts: Parts) -> None:
    parts.clip = 1e-3


@fault(
    "decay-that-eats-the-weights",
    "over-regularised",
    "underfitting",
    on="lenet transformer",
    why="too much decay underfits",
)
def decay_that_eats_the_weights(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: AdamW(weights, lr=rate, weight_decay=30.0)


@fault(
    "squares-of-weights-of-one",
    "over-regularised",
    "underfitting",
    on="mlp deep-tanh",
    why="too much decay underfits",
)
def squares_of_weights(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: SGD(weights, lr=rate, momentum=0.9, weight_decay=0.3)


@fault(
    "nine-tenths-dropped",
    "over-regularised",
    "underfitting",
    on="binary bn-mlp mlp",
    why="too much dropout underfits",
)
def nine_tenths_dropped(parts: Parts) -> None:
    swap(parts.model, nn.Dropout, lambda _: nn.Identity())
    swap(parts.model, nn.ReLU, lambda _: nn.Sequential(nn.ReLU(), nn.Dropout(0.93)))


@fault(
    "betas-swapped",
    "weak-optimizer",
    "oscillating-loss",
    "learning-rate-too-high",
    on="lenet gru transformer",
    why="a mean of the gradient a hundred times too long, of its square too short: it swings",
)
def betas_swapped(parts: Parts) -> None:
    parts.optimizer = lambda weights, rate: Adam(weights, lr=rate, betas=(0.999, 0.1))
    parts.rate *= 3


@fault(
    "stopped-on-a-plateau",
    "loss-plateau",
    "learning-rate-too-low",
    "scheduler-misuse",
    "stopped-early",
    "slow-convergence",
    on="mlp transformer",
    why="the rate is exhausted while there is still much to learn",
)
def stopped_on_a_plateau(parts: Parts) -> None:
    """The patience of the schedule was one step: the rate is a millionth soon, and for long."""
    parts.rate /= 5
    every_step(parts, lambda optimizer, epochs, steps: ExponentialLR(optimizer, 0.8))
    parts.epochs += 6
