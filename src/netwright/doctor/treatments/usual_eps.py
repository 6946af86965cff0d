"""The usual epsilon of Adam and its kin."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._measured_rates import range_rate
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

EPS = 1e-8


@TREATMENTS.register("usual-eps", grade="ask", cures=("learning-rate-too-low",))
def usual_eps(course: Course, finding: Finding) -> Iterator[Plan]:
    """eps of 1e-8, at the rate that is set, at what a range test suggests then, and at 1e-3.

    Source: Kingma & Ba 2015, Adam, section 2.
    """
    if not any("eps" in each for each in course.optimizer.param_groups):
        return
    yield _at(1.0, course.rate)
    mended = course.copy()
    mended.set_in_groups(eps=EPS)
    found = range_rate(mended, highest=1000 * course.rate)
    for rate in (found, 1e-3):
        if rate is not None and not 0.7 < rate / course.rate < 1.5:
            yield _at(rate / course.rate, rate)


def _at(factor: float, rate: float) -> Plan:
    def apply(course: Course) -> None:
        course.set_in_groups(eps=EPS)
        course.scale_rates(factor)

    return Plan(says=Phrase("eps 1e-8 at the rate {rate}", rate=amount(rate)), apply=apply)
