"""Balanced sampling: each class as often as the largest, as a function of (seed, epoch)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.augment.keys import Keys
from netwright.core.errors import SettingError
from netwright.data.balance import balanced_draws, balanced_order
from netwright.data.batches import Order
from netwright.data.dataset import MemoryImages
from netwright.data.feed import Feed
from netwright.data.opening import read_options
from netwright.data.preprocessing import Preprocessing

LABELS = np.array([0] * 7 + [1] * 3 + [3])
GREY = Preprocessing(channels=1, size=(1, 1), mean=(0.0,), std=(1.0,))


def test_each_class_that_occurs_comes_as_often_as_the_largest() -> None:
    order = balanced_order(LABELS, seed=0, epoch=0)
    assert len(order) == balanced_draws(LABELS) == 21
    assert np.bincount(LABELS[order % 11]).tolist() == [7, 7, 0, 7]


def test_within_a_class_no_image_is_drawn_twice_more_than_another() -> None:
    for epoch in range(5):
        times = np.bincount(balanced_order(LABELS, 0, epoch) % 11, minlength=11)
        assert times[:7].tolist() == [1] * 7
        assert sorted(times[7:10].tolist()) == [2, 2, 3]
        assert times[10] == 7


def test_no_draw_comes_twice() -> None:
    order = balanced_order(LABELS, seed=4, epoch=2)
    assert len(set(order.tolist())) == 21


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert np.array_equal(balanced_order(LABELS, 1, 2), balanced_order(LABELS, 1, 2))
    assert not np.array_equal(balanced_order(LABELS, 1, 2), balanced_order(LABELS, 1, 3))
    assert not np.array_equal(balanced_order(LABELS, 1, 2), balanced_order(LABELS, 2, 2))


def test_who_is_drawn_once_more_changes_from_epoch_to_epoch() -> None:
    once_more = {
        int(np.bincount(balanced_order(LABELS, 0, e) % 11, minlength=11)[7:10].argmax())
        for e in range(20)
    }
    assert once_more == {0, 1, 2}


def test_without_balance_the_order_is_what_it_always_was() -> None:
    order = Order(11, 4, 0)
    assert sorted(order.of(0).tolist()) == list(range(11))
    assert order.steps_per_epoch == 2
    assert Order(11, 4, 0, balance=LABELS).steps_per_epoch == 5


class Streamed:
    """The same eleven images, read one by one."""

    in_memory = False
    shape = (1, 1, 1)
    labels = LABELS

    def __len__(self) -> int:
        return 11

    def name(self, i: int) -> str:
        return str(i)

    def read(self, i: int) -> Tensor:
        return torch.full((1, 1, 1), i, dtype=torch.uint8)


def marked(images: Tensor, keys: Keys) -> Tensor:
    """An augmentation that adds a number of each draw's own."""
    mark = torch.from_numpy(keys.integers(0, 9, "mark")).to(torch.uint8)
    return images + 20 * mark.view(-1, 1, 1, 1)


def batches(start: int, *, streamed: bool) -> list[tuple[list[int], list[int], list[float]]]:
    held = MemoryImages(torch.arange(11, dtype=torch.uint8).view(11, 1, 1, 1), LABELS)
    feed = Feed(
        Streamed() if streamed else held,  # type: ignore[arg-type]
        batch=3,
        seed=5,
        preprocessing=GREY,
        augmentation=marked,
        workers=0,
        balance="oversample",
    )
    made = feed.iterate(start, 14)
    return [(b.index.tolist(), b.target.tolist(), b.images.flatten().tolist()) for b in made]


def test_a_balanced_feed_starts_anywhere_and_is_the_same_streamed() -> None:
    whole = batches(0, streamed=False)
    assert batches(9, streamed=False) == whole[9:]
    assert batches(0, streamed=True) == whole
    assert batches(9, streamed=True) == whole[9:]


def test_labels_belong_to_their_images() -> None:
    for index, target, _ in batches(0, streamed=False):
        assert LABELS[index].tolist() == target


def test_an_image_drawn_again_is_augmented_anew() -> None:
    seen = [
        value
        for index, _, values in batches(0, streamed=False)[:7]
        for i, value in zip(index, values, strict=True)
        if i == 10
    ]
    assert len(seen) == 7
    assert len(set(seen)) > 2


def test_a_batch_may_be_as_large_as_the_balanced_epoch() -> None:
    held = MemoryImages(torch.zeros(11, 1, 1, 1, dtype=torch.uint8), LABELS)
    feed = Feed(held, batch=21, seed=0, preprocessing=GREY, balance="oversample")
    assert feed.steps_per_epoch == 1
    with pytest.raises(SettingError, match=r"batch=22 is larger"):
        Feed(held, batch=22, seed=0, preprocessing=GREY, balance="oversample")


def test_balance_is_a_setting_of_every_data() -> None:
    assert read_options({"name": "digits", "balance": "oversample"}).balance == "oversample"
    with pytest.raises(SettingError, match=r"data.balance"):
        read_options({"name": "digits", "balance": "undersample"})
