"""A plan that differs in its learning rate alone."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import amount

APART = 1.5
"""Rates nearer to each other than by this factor are one rate."""


def at_rate(course: Course, rate: float) -> Plan:
    """The highest rate of all groups becomes `rate`, the others and the schedule in proportion."""
    factor = rate / course.rate
    return Plan(
        says=Phrase("learning rate {old} -> {new}", old=amount(course.rate), new=amount(rate)),
        apply=lambda made: made.scale_rates(factor),
    )


def unlike(rate: float, others: Sequence[float]) -> bool:
    """Whether it is another rate than each of the others."""
    return all(not 1 / APART < rate / each < APART for each in others)
