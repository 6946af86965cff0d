"""Ticks and places on an axis, by cases a person can check."""

import pytest

from netwright.report.axes import (
    counting_ticks,
    linear,
    log_ticks,
    logarithmic,
    nice_ticks,
    shares,
)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 0.05, [0, 0.01, 0.02, 0.03, 0.04, 0.05]),
        (-3, 4, [-3, -2, -1, 0, 1, 2, 3, 4]),
        (117, 350, [150, 200, 250, 300, 350]),
        (2e-7, 7e-7, [2e-7, 3e-7, 4e-7, 5e-7, 6e-7, 7e-7]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, ticks: list[float]
) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_ticks_carry_no_rounding_noise() -> None:
    assert repr(nice_ticks(0, 0.5)) == "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(1, 1, [1]), (1, 4, [1, 2, 3, 4]), (1, 100, [20, 40, 60, 80, 100]), (0, 2, [0, 1, 2])],
)
def test_epochs_are_whole(low: int, high: int, ticks: list[int]) -> None:
    assert counting_ticks(low, high) == ticks


def test_a_linear_axis_begins_at_zero_when_asked() -> None:
    axis = linear([0.4, 2.3], zero=True)
    assert axis.ticks[0] == (0, "0")
    assert axis.place(0) == 0
    assert axis.place(2.5) == 1


def test_a_curve_that_never_moves_has_an_axis_too() -> None:
    for value in (0.0, 0.1, -4.0, 1e-30, 1e8):
        axis = linear([value, value], zero=True)
        assert 0 <= axis.place(value) <= 1
        assert axis.ticks


def test_tick_labels_have_equally_many_decimals() -> None:
    labels = [label for _, label in linear([0, 2.5]).ticks]
    assert labels == ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]


def test_equal_factors_are_equal_lengths_on_a_logarithmic_axis() -> None:
    axis = logarithmic([0.01, 2.0])
    assert axis.place(0.1) - axis.place(0.01) == pytest.approx(axis.place(1) - axis.place(0.1))
    assert axis.note == "log"


def test_many_decades_get_their_powers_only() -> None:
    assert log_ticks(1e-4, 10) == [1e-4, 1e-3, 1e-2, 0.1, 1, 10]


def test_each_halving_of_the_errors_is_one_length_on_a_stretched_axis() -> None:
    axis = shares([0.2, 0.97, 0.99])
    assert axis.note == "stretched"
    once = axis.place(0.96) - axis.place(0.92)
    assert axis.place(0.98) - axis.place(0.96) == pytest.approx(once)
    assert dict(axis.ticks)[0.99] == "99\u202f%"


def test_a_perfect_score_has_a_place_on_a_stretched_axis() -> None:
    axis = shares([0.5, 0.99, 1.0])
    assert axis.ticks[-1] == (1.0, "100\u202f%")
    assert axis.place(0.99) < axis.place(1.0) == pytest.approx(1)


def test_scores_that_are_all_perfect_or_all_low_are_not_stretched() -> None:
    assert shares([1.0, 1.0]).note == ""
    assert shares([0.1, 0.6]).note == ""


@pytest.mark.parametrize(
    "values", [[0.0], [1.0], [0.5, 1.0], [0.999999, 1.0], [-3.0, 0.95], [0.2, 7.0], [0.95] * 3]
)
def test_no_shares_fall_off_the_axis(values: list[float]) -> None:
    axis = shares(values)
    assert axis.ticks
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick, _ in axis.ticks)
