"""A schedule that is stepped after every batch, and is made for epochs."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._schedules import simulated
from netwright.doctor.treatments._to_the_end import endings
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

GONE = 0.01
"""Of the peak: below, the training is over."""

LAST = 0.6
"""Of the steps, to which a rate has to last."""


@TREATMENTS.register("step-once-an-epoch", grade="ask", cures=("scheduler-misuse",))
def step_once_an_epoch(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same schedule stepped once an epoch, or another one that lasts to the end.

    Only another one helps under way, where the schedule has gone too far already, and where it
    would take the rate away too soon by epochs as well.
    """
    if course.scheduler is None:
        return
    if course.scheduler_every == "step" and not course.done and _lasts(course):
        yield Plan(says=Phrase("schedule stepped once an epoch"), apply=_by_epoch)
    yield from endings(course)


def _lasts(course: Course) -> bool:
    """Whether by epochs the rate is above a hundredth of its peak for most of the training."""
    copied = course.copy()
    _by_epoch(copied)
    rates = simulated(copied)
    return rates is None or rates[int(LAST * len(rates))] > GONE * max(rates)


def _by_epoch(course: Course) -> None:
    course.scheduler_every = "epoch"
