"""A schedule whose rate comes up again before the training ends."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._schedules import Constant, Listed, meant, reshape, simulated
from netwright.doctor.treatments._to_the_end import cosine
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

FEWEST = 10
"""Steps to a foot that is ahead."""


@TREATMENTS.register("end-at-the-foot", grade="ask", cures=("scheduler-misuse",))
def end_at_the_foot(course: Course, finding: Finding) -> Iterator[Plan]:
    """The rate stays at its foot once it is there, or falls to it over all that is left."""
    if course.scheduler is None:
        return
    rates = simulated(course)
    foot = min(range(len(rates)), key=rates.__getitem__) if rates else 0
    if rates and foot >= FEWEST and max(rates) > 0:
        yield Plan(
            says=Phrase("schedule up to its foot, and no further"),
            apply=lambda made: _held(made, rates[: foot + 1]),
        )
    elif course.done:
        yield Plan(says=Phrase("rate held where it was best"), apply=_as_it_is)
    yield cosine(course)
    yield cosine(course, 0.1)


def _held(course: Course, rates: tuple[float, ...]) -> None:
    first = float(course.optimizer.param_groups[0]["lr"]) or 1.0
    now = [float(each["lr"]) for each in course.optimizer.param_groups]
    reshape(course, Listed(tuple(each / first for each in rates)), now)


def _as_it_is(course: Course) -> None:
    now = [float(each["lr"]) for each in course.optimizer.param_groups]
    reshape(course, Constant(), now if max(now) > 0 else meant(course))
