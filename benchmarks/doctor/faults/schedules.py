"""Faults of the plan of a run: when the rate changes, when the run ends."""

from __future__ import annotations

from typing import Any

from setups import Parts, Training
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from faults import fault
from faults._stepping import by_batch, usual

HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients", "oscillating-loss")
LOW = ("learning-rate-too-low", "slow-convergence", "stopped-early", "loss-plateau")
WHY_LOW = "the plan exhausts the rate: the loss is flat at a rate that is too low, long before it "
WHY_LOW += "has arrived"


@fault("plateau-schedule-without-patience", *LOW, "scheduler-misuse", on="lenet gru", why=WHY_LOW)
def no_patience(parts: Parts) -> None:
    """It is told the loss of each batch, and a batch is worse than the best every other time."""
    parts.schedule = None

    def loop_begins(training: Training, turn: int) -> None:
        if turn == 0:
            training.kept.append(ReduceLROnPlateau(training.optimizer, factor=0.5, patience=0))

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        loss = parts.loss(training.model(x), y)
        loss.backward()
        training.optimizer.step()
        training.kept[0].step(loss.item())

    by_batch(parts, batch, epoch=loop_begins)


@fault("milestones-from-another-run", *LOW, "scheduler-misuse", on="transformer mlp", why=WHY_LOW)
def other_milestones(parts: Parts) -> None:
    """Milestones in thousands of steps, divided by a thousand."""
    parts.schedule_every = "epoch"
    parts.schedule = lambda optimizer, epochs, steps: MultiStepLR(optimizer, [1, 2, 3], 0.05)


@fault(
    "warm-restart-before-the-end",
    *HIGH,
    "scheduler-misuse",
    "loss-spike",
    on="resnet bn-mlp",
    why="the run ends at the top of a new cycle, at a rate too high: the loss leaps up",
)
def late_restart(parts: Parts) -> None:
    parts.rate *= 10
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: CosineAnnealingWarmRestarts(
        optimizer, epochs * steps * 19 // 20
    )


@fault("polynomial-over-one-epoch", *LOW, "scheduler-misuse", on="segmentation lenet", why=WHY_LOW)
def polynomial(parts: Parts) -> None:
    """Its length is that of an epoch, where that of the run was meant."""
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: PolynomialLR(optimizer, steps, power=2.0)


@fault("two-schedules-on-one-optimizer", *LOW, "scheduler-misuse", on="mlp regression", why=WHY_LOW)
def two_schedules(parts: Parts) -> None:
    """A decay was added where another one stood already; the second is stepped per batch."""

    class Both:
        def __init__(self, optimizer: Optimizer, epochs: int) -> None:
            self.kept = (StepLR(optimizer, 30, 0.3), ExponentialLR(optimizer, 0.97))

        def step(self) -> None:
            for each in self.kept:
                each.step()

    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: Both(optimizer, epochs)


@fault(
    "schedule-of-an-optimizer-of-before",
    *HIGH,
    "scheduler-misuse",
    "dead-relu",
    on="transformer mlp",
    why="nobody warms up nor lowers the rate that is used, which is far too high without it",
)
def another_schedule(parts: Parts) -> None:
    """The optimizer was made anew at the peak of a rate that its schedule was to hold back."""
    parts.rate *= 12
    make = parts.optimizer

    def schedule(optimizer: Optimizer, epochs: int, steps: int) -> Any:
        total = epochs * steps
        kept = make(parts.model.parameters(), parts.rate)
        return LambdaLR(kept, lambda step: min(step / (total / 2), 1.0) * 0.1)

    parts.schedule, parts.schedule_every = schedule, "step"


@fault(
    "a-gamma-of-ten",
    *HIGH,
    "scheduler-misuse",
    "nonfinite",
    "dead-relu",
    on="autoencoder binary",
    why="the rate is ten times higher every few epochs, until the loss diverges",
)
def gamma_of_ten(parts: Parts) -> None:
    parts.schedule_every = "epoch"
    parts.schedule = lambda optimizer, epochs, steps: StepLR(optimizer, max(epochs // 4, 1), 10.0)


@fault(
    "integers-in-the-warm-up",
    *LOW,
    "scheduler-misuse",
    "weights-do-not-change",
    on="mlp transformer",
    why="the factor of the warm-up is zero to its end: a rate of zero, which moves no weight",
)
def whole_numbers(parts: Parts) -> None:
    parts.schedule_every = "step"
    parts.schedule = lambda optimizer, epochs, steps: LambdaLR(
        optimizer, lambda step: (step + 1) // (epochs * steps * 2)
    )


@fault(
    "stopped-by-an-improvement",
    "stopped-early",
    "slow-convergence",
    on="gru autoencoder",
    why="it was falling steadily when it was stopped",
)
def stopped_by_improvement(parts: Parts) -> None:
    """The comparison of the early stop is the wrong way round: it ends after three good epochs."""
    parts.epochs = 3
    parts.schedule = None
    by_batch(parts, usual)
