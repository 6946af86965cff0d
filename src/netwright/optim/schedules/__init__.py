"""The schedules of the learning rate, each a leaf of this folder: a pure function of the step.

A leaf is a function `(step, total, options) -> factor` that multiplies the rate an optimizer was
given: `step` counts from 0, `total` is the number of steps it is spread over. It keeps no
state, so a resumed run needs to know its step only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.registry import Entry, Registry

Schedule: TypeAlias = Callable[[int, int, Any], float]

SCHEDULES: Registry[Schedule] = Registry(
    "schedule", "netwright.optim.schedules", listing="netwright ls schedules"
)
"""Fact of a leaf: `rises`, true for a schedule that begins low of its own accord."""


@config
class ScheduleCommon:
    """The setting of every schedule."""

    warmup: float = setting(
        0.0, ge=0, help="epochs in which the rate rises to its full height", unit="epochs"
    )


def factor(
    schedule: str | Entry[Schedule], options: Any, step: int, total: int, warmup_steps: int = 0
) -> float:
    """What the rate of step number `step` (from 0) is multiplied by, in a run of `total` steps.

    During the first `warmup_steps` it rises in a line, (step + 1) / warmup_steps (Goyal et al.
    2017, section 2.2); the schedule then runs over the steps that are left. Past the end the
    last factor stays. Raises `SettingError` for a warm-up before a schedule that rises itself.

    >>> from netwright.optim.schedules.constant import ConstantOptions
    >>> [factor("constant", ConstantOptions(), step, 10, warmup_steps=4) for step in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    entry = SCHEDULES.get(schedule) if isinstance(schedule, str) else schedule
    if warmup_steps > 0 and entry.facts.get("rises"):
        raise SettingError(
            'sched.warmup: the schedule "{schedule}" rises by itself.',
            hint="Set sched.warmup=0, and sched.rise for the share of the run in which it rises.",
            schedule=entry.name,
        )
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    left = max(1, total - warmup_steps)
    return entry.target(min(step - warmup_steps, left), left, options)
