"""The data of the speed benchmarks, the same numbers for every contender.

MNIST from its idx files and the exact half of CIFAR-10 from its mosaics, normalised to float32
and written as arrays, which `speed_setups.read_arrays` reads without torch. The functions at the
end are factories for `netwright train benchmarks/feeds.py:lenet5_tensors ...`. Where the files lie
is told by NETWRIGHT_SHARED_DATA (default: `../shared/data` beside the repository).
"""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

import speed_setups
from speed_setups import SETUPS, Setup

Pair = tuple[Tensor, Tensor]


class Pairs(Dataset[tuple[Tensor, int]]):
    """A map-style data set of (image, label), as people write them."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images[i], self.labels[i]


class TensorBatches:
    """Shuffled batches of two tensors by `index_select`: the fastest plain way there is."""

    def __init__(self, images: Tensor, labels: Tensor, batch: int, *, shuffle: bool) -> None:
        self.images = images
        self.labels = labels
        self.batch = batch
        self.shuffle = shuffle

    def __len__(self) -> int:
        whole, rest = divmod(len(self.images), self.batch)
        return whole if self.shuffle or not rest else whole + 1

    def __iter__(self) -> Iterator[Pair]:
        count = len(self.images)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for part in order.split(self.batch)[: len(self)]:
            yield self.images.index_select(0, part), self.labels.index_select(0, part)


def write_arrays(folder: Path, setup: Setup, *, goal: bool) -> None:
    """The arrays that all contenders read: the training images of one epoch, and those evaluated
    after it. Where an accuracy is the goal, these are MNIST's 10,000 test images, and the last
    1,000 training images of CIFAR-10, which are not trained on."""
    images, labels = (mnist if setup.key == "lenet5" else cifar10)()
    held_out = 1_000 if goal else setup.held_out
    count = setup.batch * (setup.goal_epoch if goal else setup.epoch)
    parts = {
        "train": (images[:count], labels[:count]),
        "val": (images[-held_out:], labels[-held_out:]),
    }
    assert count <= len(images) - held_out
    if goal and setup.key == "lenet5":
        parts["val"] = mnist("t10k")
    size = parts["train"][0].astype(np.float32) / 255
    mean, std = size.mean((0, 2, 3), keepdims=True), size.std((0, 2, 3), keepdims=True)
    for part, (pixels, target) in parts.items():
        made = torch.from_numpy((pixels.astype(np.float32) / 255 - mean) / std)
        if made.shape[2:] != setup.shape[1:]:
            made = F.interpolate(made, size=setup.shape[1:], mode="bilinear")
        np.save(folder / f"{setup.key}-{part}-images.npy", made.numpy())
        np.save(folder / f"{setup.key}-{part}-labels.npy", target.astype(np.int64))


def read_tensors(setup: Setup) -> tuple[Pair, Pair]:
    """Training and validation as the arrays hold them."""
    train, val = speed_setups.read_arrays(setup)
    return (torch.from_numpy(train[0]), torch.from_numpy(train[1])), (
        torch.from_numpy(val[0]),
        torch.from_numpy(val[1]),
    )


def mnist(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (N, 1, 28, 28) and labels (N,)."""
    folder = data_folder() / "mnist"
    images = np.frombuffer(_unpacked(folder / f"{part}-images-idx3-ubyte.gz")[16:], np.uint8)
    labels = np.frombuffer(_unpacked(folder / f"{part}-labels-idx1-ubyte.gz")[8:], np.uint8)
    return images.reshape(-1, 1, 28, 28), labels


def cifar10() -> tuple[np.ndarray, np.ndarray]:
    """The exact half of the training set, 25,000 images."""
    return cifar10_part("cifar10.zip", "train_a")


def cifar10_part(archive: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (N, 3, 32, 32) and labels (N,) out of mosaics of 50x50 images each.

    The mosaics of `train_b` hold values shifted right by 2 bits.
    """
    images = []
    with zipfile.ZipFile(data_folder() / archive) as file:
        names = sorted(n for n in file.namelist() if n.startswith(part) and n.endswith(".webp"))
        for name in names:
            with Image.open(io.BytesIO(file.read(name))) as picture:
                mosaic = np.asarray(picture.convert("RGB"))
            tiles = mosaic.reshape(50, 32, 50, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
            images.append(tiles.transpose(0, 3, 1, 2))
        labels = np.load(io.BytesIO(file.read(f"{part}_labels.npy")))
    pixels = np.concatenate(images)
    return (pixels * 4 + 2 if part == "train_b" else pixels), labels


def cifar10_classes() -> list[str]:
    with zipfile.ZipFile(data_folder() / "cifar10.zip") as file:
        return file.read("classes.txt").decode().split()


def data_folder() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("NETWRIGHT_SHARED_DATA", beside))


def lenet5_tensors() -> tuple[Pair, Pair]:
    return read_tensors(SETUPS["lenet5"])


def resnet20_tensors() -> tuple[Pair, Pair]:
    return read_tensors(SETUPS["resnet20"])


def mobilenet_v2_tensors() -> tuple[Pair, Pair]:
    return read_tensors(SETUPS["mobilenet_v2"])


def lenet5_dataset() -> tuple[Pairs, Pairs]:
    train, val = lenet5_tensors()
    return Pairs(*train), Pairs(*val)


def resnet20_dataset() -> tuple[Pairs, Pairs]:
    train, val = resnet20_tensors()
    return Pairs(*train), Pairs(*val)


def mobilenet_v2_dataset() -> tuple[Pairs, Pairs]:
    train, val = mobilenet_v2_tensors()
    return Pairs(*train), Pairs(*val)


def _unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())
