"""The numeric derivative along a line: how good it is, and what it says of an expected one."""

import math

import pytest

from netwright.inspection.gradients.slopes import noise_of, read, slope, steps_for

CHECK = {"scale": 1.0, "floor": 0.0, "noise": 1e-16, "tolerance": 1e-6}
STEPS = [3e-4, 1e-5, 3e-7]


def test_two_central_differences_are_exact_on_a_cubic():
    found = read(lambda t: 2 * t - t**2 + 5 * t**3, 0.5, 0.0)
    assert found.value == pytest.approx(2.0, abs=1e-12)


@pytest.mark.parametrize("step", [0.3, 0.1, 0.01])
def test_the_derivative_is_nearer_than_its_bound(step):
    found = read(lambda t: math.exp(math.sin(t)), step, 1e-16)
    assert abs(found.value - 1.0) < found.bound


def test_the_bound_grows_with_the_noise_over_the_step():
    assert read(math.sin, 1e-6, 1e-10).bound == pytest.approx(8e-4, rel=1e-3)


def test_a_right_derivative_agrees_at_the_first_step():
    found = slope(math.sin, 1.0, **CHECK, steps=STEPS)
    assert (found.says, found.level) == ("agrees", 0)


@pytest.mark.parametrize("wrong", [0.0, 1.0001, -1.0, 2.0, math.nan, math.inf])
def test_a_wrong_one_differs(wrong):
    assert slope(math.sin, wrong, **CHECK, steps=STEPS).says == "differs"


def test_a_kink_near_by_is_out_of_reach_of_smaller_steps():
    def line(t: float) -> float:
        return t + max(0.0, t - 1e-4)

    found = slope(line, 1.0, **CHECK, steps=STEPS)
    assert (found.says, found.level) == ("agrees", 1)


def test_a_jump_and_an_infinite_slope_are_unsettled():
    assert slope(lambda t: float(t > 0), 0.0, **CHECK, steps=STEPS).says == "unsettled"
    assert slope(lambda t: math.copysign(abs(t) ** 0.5, t), 1.0, **CHECK, steps=STEPS).says == (
        "unsettled"
    )


def test_where_there_is_no_number_nothing_is_known():
    assert slope(lambda t: math.nan, 0.0, **CHECK, steps=STEPS).says == "unsettled"


def test_noise_is_what_is_left_of_smooth_values_in_higher_differences():
    smooth = [1.0 + 3.0 * k for k in range(6)]
    assert noise_of(smooth) < 1e-12
    shaken = [value + 1e-3 * (-1) ** k for k, value in enumerate(smooth)]
    assert 3e-4 < noise_of(shaken) < 3e-3


def test_noisy_values_begin_with_larger_steps():
    assert steps_for(1e-8, 1.0)[0] == pytest.approx(1e-2)
    assert steps_for(1e-16, 1.0)[0] == pytest.approx(3e-4)
