"""The rates that a range test and the curvature of the loss speak for, found on copies."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim import SGD

from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.trial import Trial
from netwright.optim.range_test import blown_up, rates, suggest

STEPS = 50
"""Points of the curve; fewer than 20 are not judged."""

DECADES = 6

POWERS = 8
"""Products with the second derivative: the top eigenvalue to some percent."""


def range_rate(course: Course, *, highest: float) -> float | None:
    """What the range test suggests (Smith 2017, section 3.3): `STEPS` steps of a copy, at rates
    that rise to `highest` from a millionth of it. None where three rules do not agree."""
    trial = _bare(course)
    losses: list[float] = []
    tried = rates(highest * 10.0**-DECADES, highest, STEPS)
    for rate in tried:
        trial.course.scale_rates(rate / trial.course.rate)
        trial.go_on(1)
        if trial.error or len(trial.losses) == len(losses):
            break
        losses.append(trial.losses[-1])
        if blown_up(losses):
            break
    return suggest(tried[: len(losses)], losses).rate if losses else None


def curved_rate(course: Course) -> float | None:
    """Half of the rate beyond which gradient descent leaves the valley: 2 (1 + momentum) / top
    curvature, of the first batch. None for other optimizers than SGD, and where the loss has no
    second derivative."""
    if type(course.optimizer) is not SGD or not course.trainable:
        return None
    state = RandomState()
    try:
        with torch.enable_grad():
            top = _top_curvature(_bare(course).course)
    except (RuntimeError, NotImplementedError):
        return None
    finally:
        state.restore()
    momentum = max(float(each["momentum"]) for each in course.optimizer.param_groups)
    return (1 + momentum) / top if top > 0 and math.isfinite(top) else None


def _top_curvature(course: Course) -> float:
    """The largest eigenvalue of the second derivative, by power iteration (Pearlmutter 1994)."""
    weights = course.trainable
    inputs, target = next(iter(course.train.batches()))
    torch.manual_seed(0)
    loss = course.loss(course.model.train()(inputs), target)
    gradient = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    pairs = [(g, w) for g, w in zip(gradient, weights, strict=True) if g is not None]
    along: list[Tensor] = [torch.randn_like(each) for _, each in pairs]
    top = 0.0
    for _ in range(POWERS):
        size = math.hypot(*(float(each.norm()) for each in along))
        along = [each / max(size, 1e-30) for each in along]
        bent = torch.autograd.grad(
            [g for g, _ in pairs], [w for _, w in pairs], along,
            retain_graph=True, allow_unused=True,
        )  # fmt: skip
        full = [torch.zeros_like(v) if h is None else h for h, v in zip(bent, along, strict=True)]
        top = sum(float((a * b).sum()) for a, b in zip(along, full, strict=True))
        along = full
    return top


def _bare(course: Course) -> Trial:
    """A trial of the course without its schedule and without an end."""
    copied = course.copy()
    copied.scheduler, copied.ends = None, None
    copied.epochs = math.ceil((copied.done + STEPS) / copied.train.steps) + 1
    return Trial(copied)
