"""A larger learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

FACTORS = (10.0, 100.0, 1000.0)


@TREATMENTS.register("higher-rate", grade="ask", cures=("learning-rate-too-low",))
def higher_rate(course: Course, finding: Finding) -> Iterator[Plan]:
    """The rate of every group, and what the schedule starts from, times a factor."""
    for factor in FACTORS:
        yield Plan(
            says=Phrase(
                "learning rate {old} -> {new}",
                old=amount(course.rate),
                new=amount(factor * course.rate),
            ),
            apply=lambda course, factor=factor: course.scale_rates(factor),  # type: ignore[misc]
        )
