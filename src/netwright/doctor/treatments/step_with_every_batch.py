"""A schedule that is stepped once an epoch, and is made for steps."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._to_the_end import endings
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("step-with-every-batch", grade="ask", cures=("scheduler-misuse",))
def step_with_every_batch(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same schedule stepped after every step of the optimizer, or another one."""
    if course.scheduler is None:
        return
    if course.scheduler_every == "epoch" and not course.done:
        yield Plan(says=Phrase("schedule stepped with every batch"), apply=_by_step)
    yield from endings(course)


def _by_step(course: Course) -> None:
    course.scheduler_every = "step"
