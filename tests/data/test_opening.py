from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.core.errors import DataError, SettingError, UnknownNameError
from netwright.data.dataset import Dataset
from netwright.data.opening import DataOptions, open_dataset, read_options


def sizes(dataset: Dataset) -> dict[str, int]:
    return {split: len(images) for split, images in dataset.splits.items()}


def texts(dataset: Dataset) -> str:
    return "\n".join(note.template.format(**note.values) for note in dataset.notes)


def test_the_digits_ship_inside_the_package() -> None:
    digits = open_dataset(DataOptions(name="digits"), seed=0)
    assert sizes(digits) == {"train": 1294, "val": 144, "test": 359}
    assert digits.shape == (1, 8, 8)
    assert digits.classes == tuple("0123456789")
    assert "CC BY 4.0" in digits.attribution


def test_a_digit_is_the_one_of_the_published_table() -> None:
    digits = open_dataset(DataOptions(name="digits"), seed=0)
    images, at = next(
        (images, i)
        for images in digits.splits.values()
        for i in range(len(images))
        if images.name(i) == "digit-0002"
    )
    assert images.labels[at] == 2
    published = torch.tensor([0, 0, 0, 4, 15, 12, 0, 0])  # the first line of image 2, of 16
    assert torch.equal((images.read(at)[0, 0].float() * 16 / 255).round().long(), published)


def test_the_test_fifth_of_the_digits_is_the_same_for_every_seed() -> None:
    one, other = (open_dataset(DataOptions(name="digits"), seed=seed) for seed in (0, 1))
    names = [[each.splits["test"].name(i) for i in range(359)] for each in (one, other)]
    assert names[0] == names[1]


def test_the_validation_tenth_of_the_digits_follows_the_seed() -> None:
    one, same, other = (open_dataset(DataOptions(name="digits"), seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != other.fingerprint()


def test_no_digit_is_in_two_splits() -> None:
    digits = open_dataset(DataOptions(name="digits"), seed=5)
    names = [images.name(i) for images in digits.splits.values() for i in range(len(images))]
    assert len(set(names)) == len(names) == 1797


def test_digits_can_be_had_in_another_size_and_in_colour() -> None:
    digits = open_dataset(DataOptions(name="digits", size=12, channels=3), seed=0)
    assert digits.shape == (3, 12, 12)
    assert digits.splits["val"].read(0).dtype == torch.uint8


def test_a_carved_validation_split_is_said() -> None:
    digits = open_dataset(DataOptions(name="digits"), seed=3)
    assert "144 of the 1438 training images are kept for it" in texts(digits)
    assert "seed 3" in texts(digits)


def test_a_set_without_any_split_gets_validation_only_and_says_so(flowers: Path) -> None:
    dataset = open_dataset(DataOptions(name=str(flowers)), seed=0)
    assert sizes(dataset) == {"train": 18, "val": 2}
    assert "There is no test split" in texts(dataset)


def test_other_data_for_an_evaluation_stay_whole(flowers: Path) -> None:
    dataset = open_dataset(DataOptions(name=str(flowers)), seed=0, splits_needed=())
    assert sizes(dataset) == {"all": 20}


def test_labels_and_shape_follow_the_network_they_are_for(flowers: Path) -> None:
    dataset = open_dataset(
        DataOptions(name=str(flowers)),
        seed=0,
        splits_needed=(),
        classes=("daisy", "tulip", "rose"),
        shape=(1, 6, 8),
    )
    assert np.bincount(dataset.splits["all"].labels).tolist() == [0, 10, 10]
    assert dataset.shape == (1, 6, 8)


def test_a_class_the_network_does_not_know_is_named(flowers: Path) -> None:
    with pytest.raises(DataError, match=r'Class "tulip" of .* is unknown to the network'):
        open_dataset(
            DataOptions(name=str(flowers)), seed=0, splits_needed=(), classes=("rose", "daisy")
        )


def test_a_missing_path_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"There is no data at no/such/place") as error:
        open_dataset(DataOptions(name="no/such/place"), seed=0)
    assert error.value.exit_code == 3


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r'No data set called "digit".\nNearest: digits'):
        open_dataset(DataOptions(name="digit"), seed=0)


def test_a_file_nobody_reads_is_told_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.docx").write_text("hello")
    with pytest.raises(DataError, match=r"is no data that can be read.\nExpected a folder"):
        open_dataset(DataOptions(name=str(tmp_path / "notes.docx")), seed=0)


def test_a_setting_of_another_source_is_refused() -> None:
    with pytest.raises(SettingError, match=r"data.images: no such setting of digits"):
        read_options({"name": "digits", "images": 5})


def test_a_misspelt_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"data.imags: no such setting of shapes.\nNearest: im"):
        read_options({"name": "shapes", "imags": 5})


def test_settings_are_checked_against_their_range() -> None:
    with pytest.raises(SettingError, match=r"data.val_share: 1.5 is not allowed"):
        read_options({"name": "digits", "val_share": 1.5})
    with pytest.raises(SettingError, match=r"data.num_classes: 99 is not allowed"):
        read_options({"name": "shapes", "num_classes": 99})


def test_data_that_do_not_fit_are_streamed_and_hold_the_same_pixels(flowers: Path) -> None:
    held, streamed = (
        open_dataset(DataOptions(name=str(flowers), cache=cache), seed=0)
        for cache in ("memory", "stream")
    )
    assert held.splits["train"].in_memory
    assert not streamed.splits["train"].in_memory
    assert held.fingerprint() == streamed.fingerprint()
    for i in range(18):
        assert torch.equal(held.splits["train"].read(i), streamed.splits["train"].read(i))


def test_a_set_larger_than_the_limit_is_streamed(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.data.opening.memory_limit", lambda: 100)
    dataset = open_dataset(DataOptions(name=str(flowers)), seed=0)
    assert not dataset.splits["train"].in_memory
