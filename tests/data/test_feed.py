from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.augment import Augmentation
from netwright.augment.keys import Keys
from netwright.core.errors import DataError, SettingError
from netwright.data.batches import Batch, Share
from netwright.data.dataset import Images, MemoryImages, UnreadableImageError
from netwright.data.feed import Feed
from netwright.data.opening import DataOptions, open_dataset
from netwright.data.preprocessing import Preprocessing

GREY = Preprocessing(channels=1, size=(2, 2), mean=(0.5,), std=(0.25,))


class Streamed:
    """Ten images read one by one; image i is all i. Those in `bad` cannot be read."""

    in_memory = False
    shape = (1, 2, 2)

    def __init__(self, *, bad: tuple[int, ...] = (), broken: tuple[int, ...] = ()) -> None:
        self.labels = np.array([0, 1] * 5)
        self.bad, self.broken = bad, broken

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        return f"image {i}"

    def read(self, i: int) -> Tensor:
        if i in self.bad:
            raise UnreadableImageError("Cannot read {name}: {reason}.", name=i, reason="torn")
        if i in self.broken:
            raise DataError("Image {index} holds {{NaN}}.", index=i)
        return torch.full((1, 2, 2), i, dtype=torch.uint8)


def in_memory(source: Streamed) -> MemoryImages:
    return MemoryImages(torch.stack([source.read(i) for i in range(10)]), source.labels)


def noisy(images: Tensor, keys: Keys) -> Tensor:
    """An augmentation: every image is moved by a number of its own."""
    shift = torch.from_numpy(keys.integers(0, 100, "shift")).to(torch.uint8)
    return images + shift.view(-1, 1, 1, 1)


def feed(images: Images, *, workers: int = 0, batch: int = 3, seed: int = 7) -> Feed:
    return Feed(
        images,
        batch=batch,
        seed=seed,
        preprocessing=GREY,
        augmentation=noisy,
        workers=workers,
    )


def bits(batches: list[Batch]) -> list[tuple[bytes, list[int], list[int], int]]:
    return [
        (each.images.numpy().tobytes(), each.target.tolist(), each.index.tolist(), each.epoch)
        for each in batches
    ]


@pytest.fixture(scope="module")
def expected() -> list[tuple[bytes, list[int], list[int], int]]:
    return bits(list(feed(in_memory(Streamed())).iterate(0, 8)))


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("start", [0, 4])
def test_the_bits_are_the_same_with_any_number_of_workers_from_any_start(
    workers: int, start: int, expected: list[tuple[bytes, list[int], list[int], int]]
) -> None:
    made = feed(Streamed(), workers=workers).iterate(start, 8)
    assert bits(list(made)) == expected[start:]


@pytest.mark.parametrize("start", [0, 1, 3, 7])
def test_memory_can_start_at_any_batch(
    start: int, expected: list[tuple[bytes, list[int], list[int], int]]
) -> None:
    assert bits(list(feed(in_memory(Streamed())).iterate(start, 8))) == expected[start:]


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("ranks", [1, 2])
def test_batches_made_several_at_once_are_those_made_alone(kind: torch.dtype, ranks: int) -> None:
    pool = torch.randint(0, 256, (101, 1, 6, 5), generator=torch.Generator().manual_seed(1)).to(
        kind
    )
    images = MemoryImages(pool, np.arange(101) % 3)

    def made(rank: int) -> Feed:
        return Feed(
            images,
            batch=4,
            seed=3,
            preprocessing=GREY,
            augmentation=Augmentation({"flip": True, "crop": 2, "cutout": 0.5, "rotate": 9.0}),
            share=Share(rank, ranks),
        )

    for rank in range(ranks):
        together = bits(list(made(rank).iterate(0, 80)))  # over three epochs
        alone = bits([next(made(rank).iterate(k)) for k in range(80)])
        assert together == alone
        for start in (1, 20, 24, 25, 49, 73):
            assert bits(list(made(rank).iterate(start, 80))) == together[start:]


def test_two_who_take_turns_on_one_feed_each_get_their_own() -> None:
    one = feed(in_memory(Streamed()))
    expected = bits(list(feed(in_memory(Streamed())).iterate(0, 12)))
    pairs = list(zip(one.iterate(0, 8), one.iterate(4, 12), strict=True))
    assert bits([first for first, _ in pairs]) == expected[:8]
    assert bits([second for _, second in pairs]) == expected[4:]


def test_a_late_start_reads_nothing_of_what_came_before() -> None:
    source = Streamed(broken=tuple(range(10)))
    far = feed(source).iterate(3_000_000, 3_000_000)
    assert list(far) == []


def test_an_epoch_shows_every_image_at_most_once_and_drops_the_rest() -> None:
    some = feed(in_memory(Streamed()))
    seen = np.concatenate([batch.index for batch in some.iterate(0, some.steps_per_epoch)])
    assert some.steps_per_epoch == 3
    assert len(set(seen.tolist())) == 9


def test_every_epoch_has_an_order_of_its_own_and_so_has_every_seed() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        made = feed(in_memory(Streamed()), seed=seed).iterate(3 * epoch, 3 * epoch + 3)
        return np.concatenate([batch.index for batch in made]).tolist()

    assert order(7, 0) != order(7, 1)
    assert order(7, 0) != order(8, 0)
    assert order(7, 1) == order(7, 1)


def test_training_goes_on_for_ever_without_a_stop() -> None:
    batches = itertools.islice(feed(in_memory(Streamed())).iterate(0, None), 20)
    assert [batch.epoch for batch in batches][-1] == 6


def test_what_a_batch_holds() -> None:
    batch = next(iter(feed(in_memory(Streamed())).iterate(0, 1)))
    assert batch.images.shape == (3, 1, 2, 2)
    assert batch.images.dtype == torch.float32
    assert batch.target.dtype == torch.int64
    assert batch.index.dtype == np.int64
    assert batch.target.tolist() == [i % 2 for i in batch.index]


def test_an_evaluation_sees_everything_once_in_order_and_as_it_is() -> None:
    for images in (in_memory(Streamed()), Streamed()):
        batches = list(feed(images).once())
        assert [len(batch.index) for batch in batches] == [3, 3, 3, 1]
        assert np.concatenate([batch.index for batch in batches]).tolist() == list(range(10))
        assert torch.equal(batches[-1].images, GREY(torch.full((1, 1, 2, 2), 9).byte()))


def test_workers_give_an_evaluation_in_order() -> None:
    batches = list(feed(Streamed(), workers=2).once())
    assert np.concatenate([batch.index for batch in batches]).tolist() == list(range(10))


def test_the_stored_pixels_are_never_changed() -> None:
    images = in_memory(Streamed())
    list(feed(images).iterate(0, 6))
    list(feed(images).once())
    assert images.pool[:, 0, 0, 0].tolist() == list(range(10))


def test_floats_are_fed_as_they_are_streamed() -> None:
    pool = torch.linspace(0, 1, 40).view(10, 1, 2, 2)
    images = MemoryImages(pool, np.zeros(10, np.int64))
    batch = next(iter(Feed(images, batch=4, seed=0, preprocessing=GREY).iterate(0, 1)))
    assert torch.equal(batch.images, GREY(pool[torch.from_numpy(batch.index)]))
    assert pool.max() == 1


def test_a_batch_larger_than_the_set_is_a_wrong_setting() -> None:
    with pytest.raises(SettingError, match=r"batch=11 is larger .* 10 images") as error:
        feed(in_memory(Streamed()), batch=11)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_file_is_replaced_by_the_next_good_one_of_its_class(workers: int) -> None:
    some = feed(Streamed(bad=(4, 6)), workers=workers, batch=10)
    batch = next(iter(some.iterate(0, 1)))
    assert sorted(batch.replaced) == [("image 4", "image 8"), ("image 6", "image 8")]
    assert sorted(batch.index.tolist()) == [0, 1, 2, 3, 5, 7, 8, 8, 8, 9]
    assert batch.target.sum() == 5
    assert some.replaced == {"image 4": "image 8", "image 6": "image 8"}


def test_the_last_of_a_class_is_replaced_by_the_first() -> None:
    batch = next(iter(feed(Streamed(bad=(8,)), batch=10).iterate(0, 1)))
    assert batch.replaced == (("image 8", "image 0"),)


def test_an_evaluation_leaves_a_bad_file_out() -> None:
    batches = list(feed(Streamed(bad=(4,)), batch=10).once())
    assert batches[0].index.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert batches[0].replaced == (("image 4", ""),)


def test_more_bad_files_than_are_forgiven_stop_the_run() -> None:
    source = Streamed(bad=(0, 2, 4, 1, 3, 5))
    with pytest.raises(DataError, match=r"6 of 10 images cannot be read any more") as error:
        list(feed(source, batch=10).iterate(0, 1))
    assert error.value.exit_code == 3


def test_a_class_without_any_good_image_left_stops_the_run() -> None:
    with pytest.raises(DataError, match=r"No image of the class of image . can be read any more"):
        list(feed(Streamed(bad=(0, 2, 4, 6, 8)), batch=10).iterate(0, 1))


def test_an_error_in_a_worker_is_the_same_error_here() -> None:
    with pytest.raises(DataError, match=r"^Image 3 holds \{NaN\}\.$"):
        list(feed(Streamed(broken=(3,)), workers=1, batch=10).iterate(0, 1))


def test_a_stream_leaves_the_global_generator_alone() -> None:
    torch.default_generator.manual_seed(0)
    before = torch.default_generator.get_state()
    list(feed(Streamed(), workers=1).iterate(0, 2))
    assert torch.equal(torch.default_generator.get_state(), before)


def test_the_digits_come_the_same_from_files_as_from_the_package(tmp_path: Path) -> None:
    from netwright.data.reading import to_picture

    digits = open_dataset(DataOptions(name="digits"), seed=0).splits["val"]
    for i in range(len(digits)):
        folder = tmp_path / str(digits.labels[i])
        folder.mkdir(exist_ok=True)
        to_picture(digits.read(i)).save(folder / f"{digits.name(i)}.png")
    files = open_dataset(DataOptions(name=str(tmp_path)), seed=0, splits_needed=()).splits["all"]
    by_name = {Path(files.name(i)).stem: files.read(i) for i in range(len(files))}
    assert all(torch.equal(by_name[digits.name(i)], digits.read(i)) for i in range(len(digits)))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_counts_and_names_what_it_left_out(workers: int) -> None:
    judged = feed(Streamed(bad=(2, 7)), workers=workers)
    for _ in range(2):  # again and again the same two
        batches = list(judged.once())
        assert sum(len(batch.index) for batch in batches) == 8
        assert judged.replaced == {"image 2": "", "image 7": ""}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_that_lost_more_than_is_forgiven_is_refused(workers: int) -> None:
    lost = feed(Streamed(bad=(0, 1, 3, 5, 8, 9)), workers=workers)
    with pytest.raises(DataError, match=r"6 of 10 images cannot be read any more"):
        list(lost.once())


def test_an_evaluation_of_nothing_is_refused() -> None:
    few = Streamed(bad=(0, 1, 2))
    few.labels = few.labels[:3]
    with pytest.raises(DataError, match=r"3 of 3 images cannot be read any more"):
        list(feed(few).once())
