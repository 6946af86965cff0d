"""Losses that do not insist on every label."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._answers import answers, cost
from netwright.doctor.treatments._losses import (
    CrossEntropy,
    ForgivingDistance,
    GeneralisedCrossEntropy,
)
from netwright.doctor.treatments._shares import shares
from netwright.doctor.trials.course import Course, Loss

SMOOTHING = 0.2


def forgiving(course: Course) -> Iterator[Plan]:
    """Of classes the generalised cross-entropy, and smoothed labels; of numbers smooth L1."""
    found = answers(course)
    if found is None or cost(course.loss, found.output, found.target) is None:
        return
    known = shares(course, found)
    if known is not None:
        yield _plan(Phrase("loss: (1 - p^q) / q with q = {q:g}", q=0.7), GeneralisedCrossEntropy())
        if not known.binary:
            yield _plan(Phrase("loss: cross-entropy with {part:g} of a label spread over all",
                               part=SMOOTHING), CrossEntropy(smoothing=SMOOTHING))  # fmt: skip
    elif found.target.is_floating_point() and found.target.shape == found.output.shape:
        yield _plan(Phrase("loss: {loss}", loss=Phrase("the smooth absolute loss")),
                    ForgivingDistance())  # fmt: skip


def _plan(says: Phrase, loss: Loss) -> Plan:
    def apply(course: Course) -> None:
        course.loss = loss

    return Plan(says=says, apply=apply)
