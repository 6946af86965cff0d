"""The schedules of the learning rate, each a leaf of this folder: a pure function of the step.

A leaf is a function `(step, total, options) -> factor` that multiplies the rate an optimizer was
given: `step` counts from 0, `total` is the number of steps it is spread over. It keeps no
state, so a resumed run needs to know its step only. A schedule that answers to what the run
measures has a watcher besides, which keeps the little state there is.

Choosing: `cosine` where the length of the run is known, with `sched.warmup=1` for networks without
a norm or batches above a few hundred; `one-cycle` for short runs at a high rate; `plateau` where
the length is not known; `step` to repeat a paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.registry import Entry, Registry

Schedule: TypeAlias = Callable[[int, int, Any], float]

SCHEDULES: Registry[Schedule] = Registry(
    "schedule", "netwright.optim.schedules", listing="netwright ls schedules"
)
"""Facts of a leaf: `rises`, true for a schedule that begins low of its own accord; `watches`, the
metric that it answers to, and `watcher`, the class that does (see `Watcher`)."""


class Watcher(Protocol):
    """The part of a schedule that answers to measurements: `watcher(options)` makes one."""

    factor: float

    @property
    def metric(self) -> str:
        """What it wants to observe, by its name in `metrics.jsonl`."""

    def observe(self, value: float) -> float:
        """Take in one evaluation; returns the factor from here on."""

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, from which a resumed run goes on alike."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


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
            hint="Set sched.warmup=0; sched.rise is the share of the run, or of each cycle, "
            "in which it rises.",
            schedule=entry.name,
        )
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    left = max(1, total - warmup_steps)
    return entry.target(min(step - warmup_steps, left), left, options)


def watcher(schedule: str | Entry[Schedule], options: Any) -> Watcher | None:
    """A fresh watcher of a schedule that answers to measurements; None for all others.

    The rate is then lr * factor(...) * watcher.factor; after each evaluation the watcher
    observes the metric that it names.

    >>> from netwright.optim.schedules.plateau import PlateauOptions
    >>> made = watcher("plateau", PlateauOptions(patience=0))
    >>> made.metric, made.observe(1.0), made.observe(1.0)
    ('val/loss', 1.0, 0.1)
    """
    entry = SCHEDULES.get(schedule) if isinstance(schedule, str) else schedule
    kind = entry.facts.get("watcher")
    return None if kind is None else kind(options)
