"""A schedule that turns the rates of an optimizer nobody steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.optim import Optimizer

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

NAMES = ("lr", "initial_lr", "max_lr", "min_lr")
"""Rates that a schedule keeps in the groups of its optimizer."""


@TREATMENTS.register("bind-schedule", grade="ask", cures=("stale-schedule",))
def bind_schedule(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same schedule for the optimizer that trains, from the rates that this one has.

    Source: PyTorch documentation, torch.optim.lr_scheduler: a schedule changes the rates of the
    optimizer that it was made for.
    """
    owner = getattr(course.scheduler, "optimizer", None)
    if isinstance(owner, Optimizer) and owner is not course.optimizer:
        yield Plan(says=Phrase("schedule of the optimizer that trains"), apply=_bind)


def _bind(course: Course) -> None:
    """Each group takes the place in the schedule that its like has in the other optimizer."""
    theirs: Any = course.scheduler
    groups = course.optimizer.param_groups
    likes = theirs.optimizer.param_groups
    for place, group in enumerate(groups):
        like = likes[min(place, len(likes) - 1)]
        peak = float(like.get("max_lr", like.get("initial_lr", like["lr"])))
        factor = float(group["lr"]) / peak if peak else 1.0
        group.update({name: float(like[name]) * factor for name in NAMES if name in like})
    for each in _parts(theirs):
        each.optimizer = course.optimizer
        if hasattr(each, "cycle_momentum"):
            each.cycle_momentum = False
        if hasattr(each, "base_lrs"):
            each.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]
    course.sync_schedule()


def _parts(scheduler: Any) -> Iterator[Any]:
    """The schedule, and those that it is made of."""
    yield scheduler
    for each in getattr(scheduler, "_schedulers", ()):
        yield from _parts(each)
