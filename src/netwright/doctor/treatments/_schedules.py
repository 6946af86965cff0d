"""Schedules by hand: the factor of the rate at each step, to the end of the plan."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from netwright.core.unheard import unheard
from netwright.doctor.trials.course import Course

Shape = Callable[[int], float]
"""The factor of the rate after so many steps from where the course stands."""

WARM = 0.05
"""Of the steps that are left: the rise before a cosine."""


@dataclass(frozen=True)
class Cosine:
    """From 1 to 0 over `steps` (Loshchilov & Hutter 2017, SGDR, equation 5), after `warm` steps on
    which it rises.

    >>> cosine = Cosine(10)
    >>> cosine(0), cosine(5), round(cosine(10), 6)
    (1.0, 0.5, 0.0)
    """

    steps: int
    warm: int = 0

    def __call__(self, step: int) -> float:
        if step < self.warm:
            return (step + 1) / (self.warm + 1)
        share = min(1.0, (step - self.warm) / max(1, self.steps - self.warm))
        return 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Listed:
    """Each factor in its turn; the last one stays."""

    factors: tuple[float, ...]

    def __call__(self, step: int) -> float:
        return self.factors[min(step, len(self.factors) - 1)]


@dataclass(frozen=True)
class Constant:
    """The rate stays."""

    def __call__(self, step: int) -> float:
        return 1.0


def meant(course: Course) -> list[float]:
    """The rate that each group was given: its peak where the schedule names one."""
    found = []
    for group in course.optimizer.param_groups:
        first = group.get("initial_lr", group["lr"]) if course.scheduler is not None else None
        found.append(float(group.get("max_lr", first if first is not None else group["lr"])))
    return found


def reshape(course: Course, shape: Shape, rates: Sequence[float]) -> None:
    """Another schedule from where the course stands: the rates of the groups times `shape`, step
    by step."""
    for group, rate in zip(course.optimizer.param_groups, rates, strict=True):
        for name in ("max_lr", "min_lr"):
            group.pop(name, None)
        group["lr"] = group["initial_lr"] = rate
    course.scheduler = LambdaLR(course.optimizer, shape)
    course.scheduler_every = "step"


def left(course: Course) -> int:
    """Steps to the end of the plan."""
    return max(1, course.steps - course.done)


def simulated(course: Course) -> tuple[float, ...] | None:
    """The rate of the first group at each step that is left, by the schedule stepped on a dummy;
    None for one that listens to the loss, and for what cannot be simulated."""
    scheduler, every = course.scheduler, course.scheduler_every
    steps, epoch = left(course), course.train.steps
    if scheduler is None:
        return (float(course.optimizer.param_groups[0]["lr"]),) * steps
    if isinstance(scheduler, ReduceLROnPlateau) or not isinstance(scheduler, LRScheduler):
        return None
    copied = course.copy()
    stepped, optimizer = copied.scheduler, copied.optimizer
    assert stepped is not None
    rates = []
    for number in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        if every == "step" or (course.done + number + 1) % epoch == 0:
            with unheard(), contextlib.suppress(ValueError, OverflowError):
                stepped.step()
    return tuple(rates)
