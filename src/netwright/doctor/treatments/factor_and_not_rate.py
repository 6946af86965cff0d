"""A schedule that multiplies the rate with a number far below 1 all along."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._schedules import meant, simulated
from netwright.doctor.treatments._to_the_end import endings
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("factor-and-not-rate", grade="ask", cures=("scheduler-misuse",))
def factor_and_not_rate(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same schedule with 1 at its peak, or another one that lasts to the end."""
    if course.scheduler is None:
        return
    rates = None if course.done else simulated(course)
    peak = max(rates, default=0.0) if rates else 0.0
    wanted = meant(course)[0]
    if 0 < peak < wanted:
        yield Plan(
            says=Phrase("schedule with the factor 1 at its peak"),
            apply=lambda made: made.scale_rates(wanted / peak),
        )
    yield from endings(course)
