"""On from where the run was best, more carefully."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.treatments._schedules import simulated
from netwright.doctor.treatments._to_the_end import cosine
from netwright.doctor.treatments.clip import limited
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

GROWN = 2.0
"""Times the rate there is: a schedule that is to come above it is no schedule to go on with."""


@TREATMENTS.register("roll-back", grade="ask", cures=("divergence", "loss-spike"))
def roll_back(course: Course, finding: Finding) -> Iterator[Plan]:
    """From the last good state with a tenth of the rate, with gradients clipped, or with both.

    Or with a rate that falls to the end. Gradients are clipped at their usual length. The state
    is the course itself: treatments of this group begin where the run was best.
    """
    if course.rate <= 0:
        return
    rates = simulated(course)
    if rates and max(rates) > GROWN * rates[0]:  # it would be driven up again
        yield cosine(course)
        yield cosine(course, 0.3)
        yield cosine(course, 0.1)
        return
    usual = usual_norm(course)
    yield at_rate(course, course.rate / 10)
    if usual is not None:
        yield limited(usual)
        yield Plan(
            says=Phrase("learning rate {old} -> {new}, gradients clipped at the norm {limit}",
                        old=amount(course.rate), new=amount(course.rate / 3), limit=amount(usual)),
            apply=lambda made: _both(made, usual),
        )  # fmt: skip
    yield cosine(course, 0.1 if course.done == 0 else 0.3)


def _both(course: Course, limit: float) -> None:
    course.scale_rates(1 / 3)
    course.clip = limit
