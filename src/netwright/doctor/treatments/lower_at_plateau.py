"""A rate that comes down where the loss stands."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate
from netwright.doctor.treatments._to_the_end import constant, cosine
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("lower-at-plateau", grade="ask", cures=("loss-plateau",))
def lower_at_plateau(course: Course, finding: Finding) -> Iterator[Plan]:
    """A tenth of the rate from here on, or a cosine to the end.

    Where a schedule has taken the rate away, the one that was meant, without a schedule.
    """
    if course.rate <= 0:
        return
    yield at_rate(course, course.rate / 10)
    yield cosine(course)
    if course.scheduler is not None:
        yield constant(course)
