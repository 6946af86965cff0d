import math
from typing import Any

import pytest

from netwright.core.errors import SettingError
from netwright.optim.schedules import SCHEDULES, factor


def _factors(name: str, steps: list[int], total: int, warmup: int = 0, **options: Any) -> list[Any]:
    entry = SCHEDULES.get(name)
    assert entry.options is not None
    made = entry.options(**options)
    return [pytest.approx(factor(name, made, step, total, warmup)) for step in steps]


def test_constant_stays() -> None:
    assert _factors("constant", [0, 5, 9], 10) == [1, 1, 1]


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert _factors("cosine", [0, 50, 100], 100) == [1, 0.5, 0]


def test_cosine_ends_where_it_is_told() -> None:
    assert _factors("cosine", [100], 100, final=0.2) == [0.2]


def test_step_falls_at_its_milestones() -> None:
    # He et al. 2015: 64,000 steps, a tenth after 32,000 and again after 48,000
    steps = [31_999, 32_000, 47_999, 48_000]
    assert _factors("step", steps, 64_000) == [1, 0.1, 0.1, 0.01]


def test_step_can_fall_after_equal_shares() -> None:
    assert _factors("step", [2, 3, 5, 6, 9], 30, every=0.1, gamma=0.5) == [
        1, 0.5, 0.5, 0.25, 0.125,
    ]  # fmt: skip


def test_a_milestone_outside_the_run_is_refused() -> None:
    with pytest.raises(SettingError, match=r"sched\.milestones: \[30\.0, 60\.0\] is not allowed"):
        _factors("step", [0], 90, milestones=(30, 60))


def test_one_cycle_rises_to_its_peak_and_falls_below_its_start() -> None:
    assert _factors("one-cycle", [0, 15, 30, 100], 100) == [0.04, 0.52, 1, 0.0004]


def test_one_cycle_has_its_peak_where_it_is_told() -> None:
    values = [each.expected for each in _factors("one-cycle", list(range(100)), 100, rise=0.5)]
    assert values.index(max(values)) == 50


def test_warm_up_rises_in_a_line_and_the_schedule_runs_over_the_rest() -> None:
    assert _factors("constant", [0, 1, 2, 3, 4], 10, warmup=4) == [0.25, 0.5, 0.75, 1, 1]
    assert _factors("cosine", [9, 10, 60, 110], 110, warmup=10) == [1, 1, 0.5, 0]


def test_a_warm_up_longer_than_the_run_is_only_the_beginning_of_it() -> None:
    assert _factors("cosine", [0, 4], 5, warmup=10) == [0.1, 0.5]


def test_a_warm_up_before_one_cycle_is_refused() -> None:
    with pytest.raises(SettingError, match=r'sched\.warmup: the schedule "one-cycle" rises by'):
        _factors("one-cycle", [0], 10, warmup=2)


def test_the_last_factor_stays_past_the_end() -> None:
    assert _factors("cosine", [10, 11, 99], 10, final=0.1) == [0.1, 0.1, 0.1]


def test_no_factor_jumps_up_or_falls_below_zero() -> None:
    for name in ("cosine", "step"):
        values = [each.expected for each in _factors(name, list(range(200)), 200)]
        assert values == sorted(values, reverse=True)
        assert min(values) >= 0
        assert all(math.isfinite(each) for each in values)
