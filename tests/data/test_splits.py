from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.core.errors import DataError
from netwright.data.splits import apportion, stratified

CLASSES = ["cat", "dog", "emu"]
LABELS = np.array([0] * 50 + [1] * 30 + [2] * 20)


def test_each_class_gives_its_share() -> None:
    kept, held = stratified(LABELS, 0.1, CLASSES, 0)
    assert np.bincount(LABELS[held]).tolist() == [5, 3, 2]
    assert np.bincount(LABELS[kept]).tolist() == [45, 27, 18]


def test_nobody_is_lost_or_on_both_sides() -> None:
    kept, held = stratified(LABELS, 0.25, CLASSES, 3)
    assert sorted([*kept, *held]) == list(range(100))


def test_the_same_key_gives_the_same_split_and_another_key_another() -> None:
    first, same, other = (stratified(LABELS, 0.1, CLASSES, key)[1].tolist() for key in (1, 1, 2))
    assert first == same
    assert first != other


def test_a_class_with_one_image_is_named_with_its_count() -> None:
    with pytest.raises(DataError, match=r'Class "emu" has 1 image: too few to split') as error:
        stratified(np.array([0, 0, 1, 1, 2]), 0.5, CLASSES, 0)
    assert error.value.exit_code == 3


def test_a_class_with_two_images_stands_on_both_sides() -> None:
    kept, held = stratified(np.array([0] * 100 + [1] * 2), 0.1, CLASSES, 0)
    labels = np.array([0] * 100 + [1] * 2)
    assert 1 in labels[kept]
    assert 1 in labels[held]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_no_quota_takes_a_whole_class_or_strays_by_more_than_one(
    counts: list[int], share: float
) -> None:
    for count, quota in zip(counts, apportion(counts, share), strict=True):
        assert quota == 0 if count < 2 else 1 <= quota < count
        assert abs(quota - count * share) <= 1
