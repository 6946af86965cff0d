"""Inputs and labels in one order again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._meanings import meanings
from netwright.doctor.treatments._rows import Paired
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("align-labels", grade="ask", cures=("labels-inconsistent",))
def align_labels(course: Course, finding: Finding) -> Iterator[Plan]:
    """Each training sample gets the label of the row that it belongs to, where that is near by.

    A header read as a row, or a list that begins one later, moves all labels by some rows: of the
    shifts by up to three one is found if training samples then have the labels of what looks like
    them in validation. Labels in any order cannot be put back, and there is no plan.

    Source: none: a search over shifts.
    """
    found = meanings(course)
    by = found.shift() if found is not None else 0
    if by:
        yield Plan(
            says=Phrase("each training sample with the label of {by} rows further on", by=by),
            apply=lambda course: _paired(course, by),
        )


def _paired(course: Course, by: int) -> None:
    course.train = dataclasses.replace(course.train, read=Paired(course.train, by))
