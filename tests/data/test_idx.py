from __future__ import annotations

import gzip
import lzma
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from netwright.core.errors import DataError
from netwright.data.dataset import Dataset
from netwright.data.opening import open_dataset, read_options


def idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.astype(np.uint8).tobytes()


def mnist(folder: Path, *, packed: str = "", low: int = 0, count: int = 40) -> Path:
    """Forty training and ten test images of 4 by 5 pixels; labels low .. low + 3 in turn."""
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[packed]
    for prefix, amount in (("train", count), ("t10k", 10)):
        images = np.arange(amount * 20).reshape(amount, 4, 5) % 256
        labels = low + np.arange(amount) % 4
        (folder / f"{prefix}-images-idx3-ubyte{packed}").write_bytes(pack(idx(images)))
        (folder / f"{prefix}-labels-idx1-ubyte{packed}").write_bytes(pack(idx(labels)))
    return folder


def opened(path: Path, **options: object) -> Dataset:
    return open_dataset(read_options({"name": str(path), **options}), seed=0)


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
def test_the_four_files_are_read_plain_or_packed(tmp_path: Path, packed: str) -> None:
    dataset = opened(mnist(tmp_path, packed=packed))
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 36,
        "val": 4,
        "test": 10,
    }
    assert dataset.shape == (1, 4, 5)
    assert dataset.splits["test"].read(1).flatten().tolist() == list(range(20, 40))
    assert dataset.splits["test"].labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_the_guess_is_said(tmp_path: Path) -> None:
    notes = [note.template.format(**note.values) for note in opened(mnist(tmp_path)).notes]
    assert "t10k-images-idx3-ubyte is taken as the test split." in notes


def test_one_file_finds_its_pair(tmp_path: Path) -> None:
    dataset = opened(mnist(tmp_path) / "t10k-images-idx3-ubyte")
    assert {split: len(each) for split, each in dataset.splits.items()} == {"train": 6, "val": 4}


def test_labels_that_begin_at_one_are_renumbered(tmp_path: Path) -> None:
    dataset = opened(mnist(tmp_path, low=1))
    assert dataset.classes == ("1", "2", "3", "4")
    assert set(dataset.splits["test"].labels) == {0, 1, 2, 3}


def test_classes_can_be_named(tmp_path: Path) -> None:
    assert opened(mnist(tmp_path), classes=["a", "b", "c", "d"]).classes == ("a", "b", "c", "d")
    with pytest.raises(DataError, match=r"labels up to 3, but data.classes names 2 classes"):
        opened(mnist(tmp_path), classes=["a", "b"])


def test_several_sets_in_one_folder_are_told_apart_by_their_prefix(tmp_path: Path) -> None:
    for path in list(mnist(tmp_path).iterdir()):
        os.rename(path, tmp_path / f"emnist-letters-{path.name}")
    mnist(tmp_path)
    with pytest.raises(DataError, match=r"holds several sets of idx files"):
        opened(tmp_path)
    assert opened(tmp_path, prefix="emnist-letters").shape == (1, 4, 5)


GOOD = idx(np.zeros((40, 4, 5)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it does not begin like an idx file"),
        (b"hello, world", "it does not begin like an idx file"),
        (GOOD[:10], "its header is cut off"),
        (GOOD[:-1], "it is cut off: 799 of 800 values"),
        (GOOD + b"\0", "it goes on behind the 800 values"),
        (b"\0\0\x0d\3" + GOOD[4:], "its values are of type 13"),
        (idx(np.zeros((40, 20))), "it has 2 dimensions, not 3"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**10, 2**10), "too many for memory"),
        (idx(np.zeros((39, 4, 5))), "holds 39 images, train-labels-idx1-ubyte 40 labels"),
    ],
)
def test_a_file_that_is_not_what_its_header_says_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (mnist(tmp_path) / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        opened(tmp_path)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("packed", [".gz", ".xz"])
def test_damaged_packing_is_refused(tmp_path: Path, packed: str) -> None:
    path = mnist(tmp_path, packed=packed) / f"train-images-idx3-ubyte{packed}"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"no packing at all"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"Cannot read the idx file .*train-images"):
            opened(tmp_path)


def test_never_more_is_unpacked_than_the_header_announces(tmp_path: Path) -> None:
    path = mnist(tmp_path, packed=".gz") / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(50_000_000)))
    with pytest.raises(DataError, match=r"it goes on behind the 800 values"):
        opened(tmp_path)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    path = mnist(tmp_path) / "train-images-idx3-ubyte"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"Cannot read the idx file"):
        opened(tmp_path)


def test_labels_without_images_are_named(tmp_path: Path) -> None:
    (mnist(tmp_path) / "train-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte has no file of images beside it"):
        opened(tmp_path)
