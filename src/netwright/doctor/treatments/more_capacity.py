"""A larger network."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._widths import resize, widths
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

TIMES = (4, 2)

MOST = 1024
"""Units of a layer."""


@TREATMENTS.register("more-capacity", grade="ask", cures=("underfitting",))
def more_capacity(course: Course, finding: Finding) -> Iterator[Plan]:
    """Every hidden layer four times as wide, or twice; all weights are drawn anew.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 11.4.1.
    """
    free = widths(course)
    for times in TIMES:
        wanted = {each: min(MOST, times * width) for each, width in free.items() if width < MOST}
        if wanted:
            yield Plan(
                says=Phrase("hidden layers {times} times as wide", times=times),
                apply=lambda course, wanted=wanted: resize(course, wanted),  # type: ignore[misc]
            )
