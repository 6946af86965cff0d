"""Keyed randomness: functions of integers, the same on every machine for ever."""

import numpy as np
import pytest

from netwright.core.keyed import bits, integers, key, permutation, uniform, uniforms


def test_these_numbers_never_change():
    """Recorded runs depend on them: a change here breaks every resume."""
    assert key(0) == KEY_OF_0
    assert key(0, "dropout", 17) == KEY_OF_DROPOUT
    assert bits([0, 1], 7).tolist() == BITS_OF_7
    assert permutation(8, 0, 1).tolist() == ORDER_OF_8


KEY_OF_0 = 5225608189600411232
KEY_OF_DROPOUT = 6447753693327744165
BITS_OF_7 = [8277441480546654446, 13180251017617569885]
ORDER_OF_8 = [7, 0, 5, 4, 3, 1, 6, 2]


def test_a_key_depends_on_every_part_and_their_order():
    keys = [key(), key(0), key(0, 0), key(1, 0), key(0, 1), key("a"), key("b"), key("a", "b")]
    assert len(set(keys)) == len(keys)
    assert all(0 <= each < 2**63 for each in keys)


def test_a_key_takes_any_integer():
    assert key(-1) != key(1)
    assert key(2**63) != key(0)


def test_the_draw_of_an_index_does_not_depend_on_its_batch():
    whole = uniform(np.arange(100), 3, "flip")
    assert np.array_equal(whole[[7, 93]], uniform([7, 93], 3, "flip"))
    assert np.array_equal(whole.reshape(10, 10), uniform(np.arange(100).reshape(10, 10), 3, "flip"))


def test_lanes_are_independent():
    a, b = uniform(np.arange(20000), 0, "a"), uniform(np.arange(20000), 0, "b")
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03


def test_neighbouring_indices_and_seeds_show_no_pattern():
    one = uniform(np.arange(20000), 0)
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(one, uniform(np.arange(20000), 1))[0, 1]) < 0.03


def test_several_lanes_in_one_pass_are_each_its_own():
    indices = np.array([0, 3, 2**40])
    found = uniforms(indices, ["flip", "crop-x"], 5, 9)
    for row, lane in zip(found, ("flip", "crop-x"), strict=True):
        assert (row == uniform(indices, 5, 9, lane)).all()
    with pytest.raises(ValueError, match="counted from 0"):
        uniforms(np.array([1, -1]), ["flip"], 5)


def test_uniform_fills_the_unit_interval_evenly():
    drawn = uniform(np.arange(100000), 5)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 10000).max() < 500  # five standard deviations


def test_integers_include_both_ends():
    assert set(integers(np.arange(1000), -2, 2, 9).tolist()) == {-2, -1, 0, 1, 2}
    assert integers([3], 4, 4, 9).tolist() == [4]


def test_an_empty_range_and_a_negative_index_are_refused():
    with pytest.raises(ValueError, match="empty range"):
        integers([0], 2, 1, 0)
    with pytest.raises(ValueError, match="counted from 0"):
        bits([-1], 0)


def test_a_permutation_holds_every_number_once_and_depends_on_its_key():
    order = permutation(1000, 0, 3)
    assert sorted(order.tolist()) == list(range(1000))
    assert not np.array_equal(order, permutation(1000, 0, 4))
    assert permutation(0, 1).tolist() == []
