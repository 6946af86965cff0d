"""A smaller learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

FACTORS = (0.1, 0.3, 0.03, 0.003)


@TREATMENTS.register(
    "lower-rate",
    grade="ask",
    cures=("learning-rate-too-high", "dead-relu", "nonfinite", "oscillating-loss"),
)
def lower_rate(course: Course, finding: Finding) -> Iterator[Plan]:
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
