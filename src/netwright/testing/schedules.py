"""What a registered schedule owes."""

from __future__ import annotations

import math
from typing import Any

from netwright.core.registry import Entry
from netwright.optim.schedules import Schedule, ScheduleCommon, Watcher, factor, watcher
from netwright.testing.options import check_options

_TOTAL = 100


def check_schedule(entry: Entry[Schedule]) -> None:
    """Hold a leaf of `netwright.optim.schedules.SCHEDULES` against its contract.

    - its options are a kind of `ScheduleCommon`;
    - every factor is a number in [0, 1], in runs of one step and of many, with and without
      warm-up, and past the end;
    - somewhere it comes near 1: `optim.lr` is the highest rate;
    - it is a function: the factor of a step does not depend on which were asked before;
    - one that watches the run starts at 1, falls when nothing gets better, never rises, takes a
      value that is no number for a bad one, and goes on from its state as if never stopped.
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
    # Not 1 exactly: the peak of a cycle may lie between two steps.
    assert max(forward) > 0.95, f"{entry.name} never reaches the rate it is given"
    if "watches" in entry.facts:
        _check_watcher(entry, options)


def _check_watcher(entry: Entry[Schedule], options: Any) -> None:
    first, second = watcher(entry, options), watcher(entry, options)
    assert first is not None, f"{entry.name} watches and has no watcher"
    assert second is not None
    assert first.metric == entry.facts["watches"], f"{entry.name} watches {first.metric}"
    assert first.factor == 1, f"{entry.name} begins at {first.factor}"
    values = [1.0, 0.5, 0.5, math.nan] + [0.5] * _TOTAL
    factors = [first.observe(value) for value in values]
    assert factors == sorted(factors, reverse=True), f"{entry.name} rises"
    assert 0 <= factors[-1] < 1, f"{entry.name} is at {factors[-1]} when nothing gets better"
    assert factors[-1] == first.factor, f"{entry.name} returns another factor than it keeps"
    _check_going_on(entry, options, second, values, factors)


def _check_going_on(
    entry: Entry[Schedule], options: Any, half: Watcher, values: list[float], factors: list[float]
) -> None:
    for value in values[:9]:
        half.observe(value)
    rest = watcher(entry, options)
    assert rest is not None
    rest.load_state_dict(half.state_dict())
    assert rest.factor == half.factor, f"{entry.name} forgets its factor"
    again = [rest.observe(value) for value in values[9:]]
    assert again == factors[9:], f"{entry.name} goes on differently from its state"
