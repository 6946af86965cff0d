"""The data of the speed benchmark, the same numbers for every contender.

MNIST from its idx files and the exact half of CIFAR-10 from its mosaics, normalised float32
tensors; the last 1,000 training images are kept for validation. The four functions at the end
are factories for `netwright train benchmarks/feeds.py:mnist_tensors ...`. Where the files lie
is told by NETWRIGHT_SHARED_DATA (default: `../shared/data` beside the repository).
"""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

HELD_OUT = 1_000

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A network and the data it is timed on: after `first` steps to warm up, `bursts` times
    `burst` steps, over at least one end of an epoch."""

    name: str
    model: str
    shape: tuple[int, int, int]
    batch: int
    lr: float
    read: Callable[[], Pair]
    first: int
    burst: int
    bursts: int
    factory: str
    momentum: float = 0.9


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


def mnist() -> Pair:
    folder = data_folder() / "mnist"
    images = np.frombuffer(_unpacked(folder / "train-images-idx3-ubyte.gz")[16:], np.uint8)
    labels = np.frombuffer(_unpacked(folder / "train-labels-idx1-ubyte.gz")[8:], np.uint8)
    return _normalised(images.reshape(-1, 1, 28, 28), labels)


def cifar10() -> Pair:
    """The exact half of the training set, 25,000 images."""
    return _normalised(*cifar10_part("cifar10.zip", "train_a"))


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


def split(pair: Pair) -> tuple[Pair, Pair]:
    """Training and validation."""
    images, labels = pair
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def data_folder() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("NETWRIGHT_SHARED_DATA", beside))


def mnist_tensors() -> tuple[Pair, Pair]:
    return split(mnist())


def mnist_dataset() -> tuple[Pairs, Pairs]:
    train, val = split(mnist())
    return Pairs(*train), Pairs(*val)


def cifar10_tensors() -> tuple[Pair, Pair]:
    return split(cifar10())


def cifar10_dataset() -> tuple[Pairs, Pairs]:
    train, val = split(cifar10())
    return Pairs(*train), Pairs(*val)


def _normalised(images: np.ndarray, labels: np.ndarray) -> Pair:
    pixels = torch.from_numpy(images.astype(np.float32)).div_(255)
    mean = pixels.mean((0, 2, 3), keepdim=True)
    std = pixels.std((0, 2, 3), keepdim=True)
    return pixels.sub_(mean).div_(std), torch.from_numpy(labels.astype(np.int64))


def _unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


SETUPS = {
    each.name: each
    for each in (
        Setup(
            name="LeNet-5 / MNIST",
            model="lenet5",
            shape=(1, 28, 28),
            batch=64,
            lr=0.02,
            read=mnist,
            first=100,
            burst=307,
            bursts=9,  # three epochs of 921 steps
            factory="mnist",
        ),
        Setup(
            name="ResNet-20 / CIFAR-10",
            model="resnet20",
            shape=(3, 32, 32),
            batch=128,
            lr=0.1,
            read=cifar10,
            first=20,
            burst=17,
            bursts=11,  # one epoch of 187 steps
            factory="cifar10",
        ),
    )
}
