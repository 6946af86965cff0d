"""A bound on the norm of the gradient."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator

import torch

from netwright.core.languages import Phrase
from netwright.doctor.quiet import RandomState
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

BATCHES = 8
"""Whose gradients are looked at."""

USUAL = 1.0


@TREATMENTS.register("clip", grade="ask", cures=("exploding-gradients",))
def clip(course: Course, finding: Finding) -> Iterator[Plan]:
    """The gradient cut to the median norm of the first batches; to 1; to 1 at a tenth of the rate.

    Where gradients leap, the median is what ordinary batches have. Where they are too large from
    the first step on, only a bound that knows nothing of them helps.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    if not course.trainable or (course.clip is not None and course.clip <= USUAL):
        return
    yield Plan(says=Phrase("gradient clipped at the median of its norms"), apply=_at_the_median)
    yield Plan(says=Phrase("gradient clipped at a norm of {norm}", norm=USUAL), apply=_at_the_usual)
    yield Plan(
        says=Phrase(
            "{first}; learning rate x {rate}",
            first=Phrase("gradient clipped at a norm of {norm}", norm=USUAL),
            rate=0.1,
        ),
        apply=_at_the_usual_and_slower,
    )


def _at_the_median(course: Course) -> None:
    norms = [each for each in _norms(course) if each > 0]
    median = statistics.median(norms) if norms else USUAL
    course.clip = median if course.clip is None else min(median, course.clip)


def _at_the_usual(course: Course) -> None:
    course.clip = USUAL


def _at_the_usual_and_slower(course: Course) -> None:
    course.clip = USUAL
    course.scale_rates(0.1)


def _norms(course: Course) -> list[float]:
    """Of the gradients of some batches, at the weights as they are."""
    made, state, found = course.copy(), RandomState(), []
    made.model.train()
    try:
        with torch.enable_grad():
            for inputs, target in itertools.islice(made.train.batches(), BATCHES):
                made.model.zero_grad()
                made.loss(made.model(inputs), target).backward()
                norms = [each.grad.norm() for each in made.trainable if each.grad is not None]
                norm = float(torch.stack(norms).norm()) if norms else 0.0
                if math.isfinite(norm):
                    found.append(norm)
    finally:
        state.restore()
    return found
