import math
import random

import pytest

from netwright.optim.range_test import blown_up, rates, suggest


def _curve(
    *, knee: float = 1e-2, blow: float = 0.5, fall: float = 1.5, noise: float = 0.0,
    first: float = 1e-6, last: float = 10.0, count: int = 100, seed: int = 0,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """A loss of 2.3 that falls around `knee` and rises around `blow`, until it has blown up."""
    dice = random.Random(seed)
    losses: list[float] = []
    tried = rates(first, last, count)
    for rate in tried:
        value = 2.3 - fall / (1 + (knee / rate) ** 1.5) + (rate / blow) ** 2
        losses.append(value + dice.gauss(0, noise))
        if blown_up(losses):
            break
    return tried[: len(losses)], losses


def test_rates_rise_by_the_same_factor() -> None:
    assert rates(1e-3, 1.0, 4) == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])


def test_a_clean_valley_gives_a_rate_between_its_knee_and_its_wall() -> None:
    found = suggest(*_curve())
    assert found.rate == pytest.approx(0.01, rel=0.3)
    assert sorted(found.readings) == ["blow-up", "middle", "steepest"]
    assert "Three rules agree" in str(found.why)


@pytest.mark.parametrize("factor", [1e-3, 0.1, 10.0])
def test_the_suggestion_moves_with_the_curve(factor: float) -> None:
    here, losses = _curve()
    there = suggest([rate * factor for rate in here], losses)
    usual = suggest(here, losses)
    assert usual.rate is not None
    assert there.rate == pytest.approx(usual.rate * factor, rel=0.1)


@pytest.mark.parametrize(("scale", "shift"), [(10.0, 0.0), (1.0, 50.0)])
def test_the_suggestion_does_not_depend_on_the_scale_of_the_loss(
    scale: float, shift: float
) -> None:
    tried, losses = _curve()
    assert (
        suggest(tried, [scale * each + shift for each in losses]).rate
        == suggest(tried, losses).rate
    )


@pytest.mark.parametrize("seed", range(8))
def test_noise_moves_it_by_little(seed: int) -> None:
    found = suggest(*_curve(noise=0.15, seed=seed))
    assert found.rate is not None
    assert 0.004 < found.rate < 0.03


@pytest.mark.parametrize("seed", range(8))
def test_a_fall_that_noise_hides_is_refused(seed: int) -> None:
    assert suggest(*_curve(noise=0.15, fall=0.05, seed=seed, last=0.1)).rate is None


def test_a_loss_that_falls_to_the_end_asks_for_higher_rates() -> None:
    found = suggest(*_curve(last=0.05))
    assert found.rate is None
    assert "has not blown up at the highest rate" in str(found.why)


def test_a_straight_fall_is_refused() -> None:
    tried = rates(1e-6, 1.0, 60)
    found = suggest(tried, [2.3 - 0.01 * k for k in range(60)])
    assert found.rate is None
    assert "test higher ones" in str(found.why)


@pytest.mark.parametrize("end", [math.nan, math.inf, 1e9])
def test_a_loss_that_blows_up_at_once_asks_for_lower_rates(end: float) -> None:
    found = suggest([1.0, 2.0, 4.0], [2.3, 5.0, end])
    assert found.rate is None
    assert str(found.why).startswith("The loss blew up after")


def test_a_loss_that_only_rises_asks_for_lower_rates() -> None:
    found = suggest(*_curve(fall=0.0))
    assert (found.rate, str(found.why)) == (None, "The loss only rises: test lower rates.")


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_flat_loss_is_refused(noise: float) -> None:
    found = suggest(*_curve(fall=0.0, blow=1e9, noise=noise))
    assert found.rate is None
    assert "does not fall by more than its noise" in str(found.why)


def test_a_fall_long_before_the_wall_leaves_the_rules_at_odds() -> None:
    found = suggest(*_curve(knee=1e-4))
    assert found.rate is None
    assert "The rules disagree" in str(found.why)
    assert max(found.readings.values()) > 50 * min(found.readings.values())


def test_a_curve_that_ends_in_nan_is_read_up_to_there() -> None:
    tried, losses = _curve()
    found = suggest(tried, [*losses[:-1], math.nan])
    assert found.rate == pytest.approx(0.01, rel=0.3)
    assert len(found.smoothed) == len(losses) - 1


def test_too_few_points_are_too_few() -> None:
    found = suggest(rates(1e-3, 1, 10), [2.3] * 10)
    assert str(found.why) == "10 points are too few to read a curve: at least 20."
