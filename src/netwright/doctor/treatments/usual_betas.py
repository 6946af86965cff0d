"""The usual memory of Adam."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

BETAS = (0.9, 0.999)


@TREATMENTS.register("usual-betas", grade="ask", cures=("weak-optimizer",))
def usual_betas(course: Course, finding: Finding) -> Iterator[Plan]:
    """betas of 0.9 and 0.999, at the rate that is set and at a third of it.

    Source: Kingma & Ba 2015, Adam, section 2.
    """
    if not any("betas" in each for each in course.optimizer.param_groups):
        return
    yield Plan(says=Phrase("betas 0.9 and 0.999"), apply=_usual)
    yield Plan(
        says=Phrase("betas 0.9 and 0.999, a third of the rate"),
        apply=_usual_and_slower,
    )


def _usual(course: Course) -> None:
    """Moments of another memory are forgotten."""
    course.set_in_groups(betas=BETAS)
    course.optimizer.state.clear()


def _usual_and_slower(course: Course) -> None:
    _usual(course)
    course.scale_rates(1 / 3)
