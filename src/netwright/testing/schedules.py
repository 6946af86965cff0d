"""What a registered schedule owes."""

from __future__ import annotations

from typing import Any

from netwright.core.registry import Entry
from netwright.optim.schedules import Schedule, ScheduleCommon, factor
from netwright.testing.options import check_options

_TOTAL = 100


def check_schedule(entry: Entry[Schedule]) -> None:
    """Hold a leaf of `netwright.optim.schedules.SCHEDULES` against its contract.

    - its options are a kind of `ScheduleCommon`;
    - every factor is a number in [0, 1], in runs of one step and of many, with and without
      warm-up, and past the end;
    - somewhere it comes near 1: `optim.lr` is the highest rate;
    - it is a function: the factor of a step does not depend on which were asked before.
    """
    kind: Any = entry.options
    assert kind is not None, f"{entry.name} has no options class"
    assert issubclass(kind, ScheduleCommon), f"{kind.__name__} is not a kind of ScheduleCommon"
    check_options(kind, prefix="sched.")
    options = kind()
    warmups = (0,) if entry.facts.get("rises") else (0, 7)
    for total in (1, 2, _TOTAL):
        for warmup in warmups:
            factors = [factor(entry, options, k, total, warmup) for k in range(total + 2)]
            wrong = [each for each in factors if not 0 <= each <= 1]
            assert not wrong, f"{entry.name} gives {wrong[0]} in a run of {total} steps"
    forward = [factor(entry, options, step, _TOTAL) for step in range(_TOTAL)]
    backward = [factor(entry, options, step, _TOTAL) for step in reversed(range(_TOTAL))]
    assert forward == backward[::-1], f"{entry.name} depends on what was asked before"
    assert max(forward) > 0.99, f"{entry.name} never reaches the rate it is given"
