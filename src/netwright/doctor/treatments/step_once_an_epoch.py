"""A schedule that is stepped after every batch, and is made for epochs."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._to_the_end import endings
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("step-once-an-epoch", grade="ask", cures=("scheduler-misuse",))
def step_once_an_epoch(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same schedule stepped once an epoch, or another one that lasts to the end.

    Under way, where the schedule has gone too far already, only another one helps.
    """
    if course.scheduler is None:
        return
    if course.scheduler_every == "step" and not course.done:
        yield Plan(says=Phrase("schedule stepped once an epoch"), apply=_by_epoch)
    yield from endings(course)


def _by_epoch(course: Course) -> None:
    course.scheduler_every = "epoch"
