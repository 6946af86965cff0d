"""Duplicates and leakage: found whatever the split, and told with names."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.data.dataset import Dataset, Images, MemoryImages
from netwright.data.duplicates import find_duplicates, with_duplicates_noted
from netwright.data.opening import DataOptions, open_dataset
from netwright.data.sources import SOURCES


def images(values: list[int], labels: list[int] | None = None) -> MemoryImages:
    """Images of 2 by 2, image i all `values[i]`."""
    pool = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return MemoryImages(pool.contiguous(), np.array(labels or [0] * len(values), np.int64))


def told(dataset: Dataset) -> list[str]:
    return [f"{n.word} {n.template.format(**n.values)}" for n in dataset.notes]


def as_dataset(**splits: MemoryImages) -> Dataset:
    return Dataset(name="x", layout="x", classes=("a", "b"), splits=splits)


def test_different_images_are_no_duplicates() -> None:
    found = find_duplicates({"train": images([1, 2, 3]), "test": images([4, 5])})
    assert found.notes() == ()


def test_an_image_of_two_splits_is_leakage() -> None:
    noted = with_duplicates_noted(as_dataset(train=images([1, 2, 3]), test=images([3, 4])))
    assert told(noted) == [
        "WARN Leakage: 1 images of the test split are in train too: 00002 = 00000."
    ]


def test_the_splits_are_those_of_a_shared_pool() -> None:
    whole = images([7, 8, 7, 9])
    splits = {"train": whole.subset(np.array([3, 2])), "val": whole.subset(np.array([0, 1]))}
    assert find_duplicates(splits).leaks == {("train", "val"): (("00002", "00000"),)}


def test_an_image_twice_in_training_is_a_repeat() -> None:
    found = find_duplicates({"train": images([1, 5, 1, 1])})
    assert found.repeats == {"train": (("00000", "00002"), ("00000", "00003"))}
    assert found.leaks == {}


def test_twins_under_two_labels_contradict_each_other() -> None:
    noted = with_duplicates_noted(as_dataset(train=images([1, 1, 2], [0, 1, 0])))
    assert told(noted) == [
        "WARN 1 images have a twin with the same pixels and another label: 00000 = 00001.",
        "NOTE 1 images of the train split are there already: 00000 = 00001.",
    ]


def test_three_examples_are_named_and_all_are_counted() -> None:
    (note,) = find_duplicates({"train": images([1] * 6)}).notes()
    text = note.template.format(**note.values)
    assert text.startswith("5 images")
    assert text.endswith("00000 = 00003; ....")


def test_floats_are_compared_as_they_are() -> None:
    pool = torch.tensor([0.5, 0.25, 0.5]).view(3, 1, 1, 1)
    found = find_duplicates({"train": MemoryImages(pool, np.zeros(3, np.int64))})
    assert found.repeats == {"train": (("00000", "00002"),)}


@pytest.mark.parametrize("cache", ["memory", "stream"])
def test_files_are_compared_held_or_streamed(flowers: Path, cache: str) -> None:
    shutil.copy(flowers / "rose" / "3.png", flowers / "tulip" / "copy.png")
    options = DataOptions(name=str(flowers), cache=cache)  # type: ignore[arg-type]
    found = find_duplicates(open_dataset(options, seed=0, splits_needed=()).splits)
    assert found.repeats == {"all": (("rose/3.png", "tulip/copy.png"),)}
    assert found.contradicted == (("rose/3.png", "tulip/copy.png"),)


@pytest.mark.parametrize("cache", ["memory", "stream"])
def test_a_picture_saved_twice_in_other_ways_is_found(flowers: Path, cache: str) -> None:
    with Image.open(flowers / "rose" / "3.png") as picture:
        picture.save(flowers / "tulip" / "copy.bmp")
    found = find_duplicates(opened(flowers, cache))
    assert found.repeats == {"all": (("rose/3.png", "tulip/copy.bmp"),)}
    assert not found.files_only


def test_of_many_streamed_pictures_the_files_are_compared_and_that_is_said(flowers: Path) -> None:
    with Image.open(flowers / "rose" / "3.png") as picture:
        picture.save(flowers / "tulip" / "again.bmp")
    shutil.copy(flowers / "rose" / "3.png", flowers / "tulip" / "copy.png")
    found = find_duplicates(opened(flowers, "stream"), decoded=1000)
    assert found.repeats == {"all": (("rose/3.png", "tulip/copy.png"),)}
    assert "files were compared and not pixels" in found.notes()[-1].template


def test_a_streamed_file_that_is_damaged_is_passed_over(flowers: Path) -> None:
    shutil.copy(flowers / "rose" / "3.png", flowers / "rose" / "copy.png")
    splits = opened(flowers, "stream")
    (flowers / "rose" / "copy.png").write_bytes(b"no picture")
    assert find_duplicates(splits).repeats == {}


def opened(folder: Path, cache: str) -> dict[str, Images]:
    options = DataOptions(name=str(folder), cache=cache)  # type: ignore[arg-type]
    return dict(open_dataset(options, seed=0, splits_needed=()).splits)


def test_a_streamed_file_that_has_gone_is_passed_over(flowers: Path) -> None:
    shutil.copy(flowers / "rose" / "3.png", flowers / "rose" / "copy.png")
    splits = open_dataset(
        DataOptions(name=str(flowers), cache="stream"), seed=0, splits_needed=()
    ).splits
    (flowers / "rose" / "copy.png").unlink()
    assert find_duplicates(splits).repeats == {}


def test_too_much_to_read_is_left_and_said() -> None:
    (note,) = find_duplicates({"train": images([1, 1])}, limit=7).notes()
    assert note.template.format(**note.values) == (
        "Duplicates and leakage between splits were not looked for: 8 bytes would have to be read."
    )


def test_images_that_code_makes_are_left_and_that_is_said() -> None:
    class Made:
        in_memory = False

    (note,) = find_duplicates({"train": Made()}).notes()  # type: ignore[dict-item]
    assert "they are read by code of your own" in note.template.format(**note.values)


def test_the_digits_of_the_package_leak_nothing() -> None:
    assert "digits" in SOURCES
    found = find_duplicates(open_dataset(DataOptions(name="digits"), seed=0).splits)
    assert found.contradicted == ()
