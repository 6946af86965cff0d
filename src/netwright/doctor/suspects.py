"""Training samples whose label is for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.treatments._meanings import meanings
from netwright.doctor.trials.course import Course

OF = ("label-noise", "memorised-noise", "labels-inconsistent")
"""Findings that somebody who looks at the labels can do something about."""

MAJORITY = 0.5
"""Of the neighbours: a label that fewer have is no better than the one that is there."""

MOST = 1000
"""Suspects that are listed."""


@dataclass(frozen=True, order=True)
class Suspect:
    """The sample `row` of the training data, counted from 0 as they were handed over, has the label
    `given`; of its ten nearest neighbours in training the share `vote`, more than half, has the
    label `suggested`."""

    row: int
    given: int
    suggested: int
    vote: float


def suspects_of(course: Course, found: Sequence[Diagnosis]) -> tuple[Suspect, ...]:
    """The surest first. Empty where no finding is of labels, and where the rows cannot be read one
    by one, are more than 20,000, or hold no classes."""
    if not any(each.named(name) is not None for each in found for name in OF):
        return ()
    known = meanings(course)
    if known is None:
        return ()
    counts = known.votes()
    suggested = counts.argmax(1)
    share = counts.max(1) / counts.sum(1)
    listed = [
        Suspect(course.train.rows[at], int(known.train[at]), int(suggested[at]), float(share[at]))
        for at, suspect in enumerate(known.suspects())
        if suspect and share[at] > MAJORITY
    ]
    return tuple(sorted(listed, key=lambda each: (-each.vote, each.row))[:MOST])
