"""The schedules of the second hour: polynomial, cyclic, restarts, and the one that watches."""

import itertools
import math

import pytest

from netwright.core.config import build
from netwright.core.errors import SettingError
from netwright.optim.schedules import SCHEDULES, factor, watcher
from netwright.optim.schedules.cosine import CosineOptions, cosine
from netwright.optim.schedules.cosine_restarts import CosineRestartsOptions, cosine_restarts
from netwright.optim.schedules.cyclic import CyclicOptions, cyclic
from netwright.optim.schedules.plateau import Plateau, PlateauOptions
from netwright.optim.schedules.polynomial import PolynomialOptions, polynomial


def test_polynomial_of_power_1_is_a_line_to_its_end() -> None:
    options = PolynomialOptions(final=0.2)
    assert [polynomial(step, 4, options) for step in range(5)] == pytest.approx(
        [1.0, 0.8, 0.6, 0.4, 0.2]
    )


def test_polynomial_09_is_deeplabs() -> None:
    assert polynomial(25, 100, PolynomialOptions(power=0.9)) == pytest.approx(0.75**0.9)


def test_a_polynomial_shorter_than_its_run_stays_at_its_end() -> None:
    options = PolynomialOptions(power=0.5, final=0.1)
    assert [factor("polynomial", options, step, 10) for step in (10, 11, 99)] == [0.1] * 3


def test_triangular_peaks_in_the_middle_of_each_cycle() -> None:
    options = CyclicOptions(cycles=2, low=0.2)
    found = [cyclic(step, 40, options) for step in (0, 5, 10, 15, 20, 30, 40)]
    assert found == pytest.approx([0.2, 0.6, 1.0, 0.6, 0.2, 1.0, 0.2])


def test_triangular2_halves_its_height_with_each_cycle() -> None:
    options = CyclicOptions(cycles=3, low=0.0, shape="triangular2")
    assert [cyclic(step, 30, options) for step in (5, 15, 25)] == pytest.approx([1, 0.5, 0.25])


def test_exp_keeps_gamma_of_its_height_at_the_end_of_the_run() -> None:
    options = CyclicOptions(cycles=1.5, low=0.0, shape="exp", gamma=0.25)
    assert [cyclic(step, 30, options) for step in (10, 30)] == pytest.approx(
        [0.25 ** (1 / 3), 0.25]
    )


def test_a_cycle_may_rise_faster_than_it_falls() -> None:
    options = CyclicOptions(cycles=1, low=0.0, rise=0.25)
    assert [cyclic(step, 8, options) for step in (1, 2, 5, 8)] == pytest.approx([0.5, 1, 0.5, 0])


def test_a_warm_up_before_a_cycle_is_refused() -> None:
    with pytest.raises(SettingError, match=r'sched\.warmup: the schedule "cyclic" rises by itself'):
        factor("cyclic", CyclicOptions(), 0, 10, warmup_steps=1)


def test_one_fall_is_plain_cosine() -> None:
    options = CosineRestartsOptions(cycles=1, final=0.1)
    for step in range(11):
        expected = cosine(step, 10, CosineOptions(final=0.1))
        assert cosine_restarts(step, 10, options) == pytest.approx(expected)


def test_falls_double_and_the_run_ends_at_the_bottom_of_the_last() -> None:
    # 70 steps: falls of 10, 20 and 40, as in the paper
    options = CosineRestartsOptions(cycles=3, growth=2.0)
    found = [cosine_restarts(step, 70, options) for step in (0, 5, 10, 20, 30, 50, 70)]
    assert found == pytest.approx([1, 0.5, 1, 0.5, 1, 0.5, 0], abs=1e-5)


@pytest.mark.parametrize("cycles", [1, 2, 3, 7])
@pytest.mark.parametrize("growth", [1.0, 1.3, 2.0])
def test_there_are_as_many_restarts_as_asked_for_in_a_run_of_any_length(
    cycles: int, growth: float
) -> None:
    options = CosineRestartsOptions(cycles=cycles, growth=growth)
    for total in (500, 501, 997):
        found = [cosine_restarts(step, total, options) for step in range(total)]
        rises = sum(later > earlier for earlier, later in itertools.pairwise(found))
        assert rises == cycles - 1


def _observed(values: list[float], **options: object) -> list[float]:
    made = Plateau(build(PlateauOptions, options, prefix="sched."))
    return [pytest.approx(made.observe(value)) for value in values]


def test_the_rate_falls_after_more_bad_evaluations_than_patience() -> None:
    values = [1.0, 0.9, 0.95, 0.95, 0.8, 0.85, 0.85, 0.85]
    assert _observed(values, patience=2) == [1, 1, 1, 1, 1, 1, 1, 0.1]


def test_a_gain_below_the_threshold_is_none() -> None:
    assert _observed([1.0, 0.995, 0.98], patience=0, threshold=0.01) == [1, 0.1, 0.1]


def test_accuracy_has_to_rise_and_loss_to_fall() -> None:
    rising = [0.5, 0.6, 0.7]
    assert _observed(rising, patience=0, watch="val/acc1") == [1, 1, 1]
    assert _observed(rising, patience=0) == [1, 0.1, 0.01]


def test_a_loss_below_zero_has_to_fall_further() -> None:
    assert _observed([-1.0, -1.0005, -1.1], patience=0) == [1, 0.1, 0.1]


def test_after_a_fall_the_cooldown_is_not_counted() -> None:
    assert _observed([1.0] * 7, patience=1, cooldown=2) == [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01]


def test_it_does_not_fall_below_the_lowest() -> None:
    assert _observed([1.0] * 5, patience=0, gamma=0.1, lowest=0.05) == [1, 0.1, 0.05, 0.05, 0.05]


def test_a_value_that_is_no_number_is_a_bad_one() -> None:
    assert _observed([math.nan, 1.0, math.nan, 0.5], patience=0) == [0.1, 0.1, 0.01, 0.01]


def test_only_a_schedule_that_watches_has_a_watcher() -> None:
    with_one = [entry.name for entry in SCHEDULES if "watches" in entry.facts]
    assert with_one == ["plateau"]
    assert watcher("cosine", CosineOptions()) is None
    assert factor("plateau", PlateauOptions(), 0, 10, warmup_steps=4) == 0.25


def test_falls_of_any_growth_are_finite() -> None:
    options = CosineRestartsOptions(cycles=1000, growth=1e300)
    assert all(0 <= cosine_restarts(step, 5, options) <= 1 for step in range(6))
    with pytest.raises(SettingError, match="at most 1000"):
        build(CosineRestartsOptions, {"cycles": 1_000_000_000}, prefix="sched.")
    with pytest.raises(SettingError, match="at most 1000000"):
        build(CyclicOptions, {"cycles": 1e308}, prefix="sched.")
