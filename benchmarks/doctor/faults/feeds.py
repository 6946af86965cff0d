"""How samples come to the loop: their order, what comes twice, what comes late, what leaks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from setups import Parts, Training
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from faults import fault
from faults._surgery import draws, rows
from faults._turns import fed, looped

# The order


@fault("a-shuffle-buffer-of-a-hundred", "unshuffled-data", on="lenet resnet gru")
def small_buffer(parts: Parts) -> None:
    """Sorted by class, and mixed only among a hundred neighbours."""
    x, y = parts.train
    parts.train = rows(parts.train, y.argsort(stable=True))
    by = draws(parts)

    def batches(_: Any) -> Iterator[tuple[Tensor, Tensor]]:
        near = torch.arange(len(x)) + 100 * torch.rand(len(x), generator=by)
        for which in near.argsort().split(parts.batch):
            yield rows(parts.train, which)

    fed(parts, batches)


@fault("a-folder-at-a-time", "unshuffled-data", on="mlp transformer bn-mlp")
def folder_at_a_time(parts: Parts) -> None:
    """Each batch is of one class; the batches come in any order."""
    by = draws(parts)

    def batches(_: Any) -> Iterator[tuple[Tensor, Tensor]]:
        y = parts.train[1]
        found: list[Tensor] = []
        for label in y.unique():
            own = (y == label).nonzero()[:, 0]
            found += own[torch.randperm(len(own), generator=by)].split(parts.batch)
        for place in torch.randperm(len(found), generator=by).tolist():
            yield rows(parts.train, found[place])

    fed(parts, batches)


@fault("rows-in-order-of-a-target", "unshuffled-data", on="regression")
def order_of_a_target(parts: Parts) -> None:
    parts.train = rows(parts.train, parts.train[1].sum(1).argsort())
    parts.shuffle = False


@fault("pictures-from-dark-to-bright", "unshuffled-data", on="autoencoder segmentation")
def dark_to_bright(parts: Parts) -> None:
    parts.train = rows(parts.train, parts.train[0].flatten(1).mean(1).argsort())
    parts.shuffle = False
    parts.rate *= 2


# What comes again and again

STUCK = ("stuck-data-feed", "duplicate-samples")
WHY = "the same few samples come again and again, and the rest never"


@fault("the-same-seed-at-every-draw", *STUCK, on="lenet regression gru", why=WHY)
def seeded_before_every_draw(parts: Parts) -> None:
    def batches(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in loader:
            torch.manual_seed(42)
            yield rows(parts.train, torch.randint(len(parts.train[0]), (parts.batch,)))

    fed(parts, batches)


@fault(
    "a-cache-of-one-image",
    *STUCK,
    "constant-input",
    "labels-inconsistent",
    on="mlp resnet",
    why=WHY,
)
def cache_of_one(parts: Parts) -> None:
    """Each batch holds its first image in all its places, with the labels of the others."""

    def batches(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in loader:
            yield x[:1].expand_as(x).clone(), y

    fed(parts, batches)


@fault("a-prefetch-that-repeats", *STUCK, on="deep-tanh segmentation", why=WHY)
def prefetch_repeats(parts: Parts) -> None:
    """The reader hangs on the second batch of the epoch: it is served until the epoch ends."""

    def batches(_: Any) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(parts.train[0])).split(parts.batch)
        for place in range(len(order)):
            yield rows(parts.train, order[min(place, 1)])

    fed(parts, batches)


@fault("large-batches-and-the-rest-dropped", "stuck-data-feed", on="mlp regression")
def rest_dropped(parts: Parts) -> None:
    parts.batch, parts.drop_last, parts.shuffle = len(parts.train[0]) * 3 // 5, True, False


@fault("one-row-by-the-thousand", *STUCK, on="mlp binary regression", why=WHY)
def one_row(parts: Parts) -> None:
    """A join has multiplied one row: it is nine tenths of the table."""
    count = len(parts.train[0])
    which = torch.zeros(count, dtype=torch.long)
    which[: count // 12] = torch.arange(count // 12)
    parts.train = rows(parts.train, which)


# What leaks

LEAKS = ("split-leakage",)


def few(parts: Parts, count: int) -> None:
    parts.train = rows(parts.train, torch.arange(count))


@fault("augmented-before-the-split", *LEAKS, on="mlp lenet", hurts="honesty")
def augmented_before_the_split(parts: Parts) -> None:
    few(parts, 60)
    x, y = parts.val
    near = x + 0.02 * torch.randn(x.shape, generator=draws(parts))
    parts.train = torch.cat([parts.train[0], near]), torch.cat([parts.train[1], y])
    parts.epochs *= 4


@fault("overlapping-windows", *LEAKS, on="gru", hurts="honesty")
def overlapping_windows(parts: Parts) -> None:
    """Windows cut from one recording and split by chance: their neighbours are in training."""
    few(parts, 60)
    x, y = parts.val
    parts.train = torch.cat([parts.train[0], x.roll(1, 1)]), torch.cat([parts.train[1], y])
    parts.epochs *= 6
    parts.rate *= 2


@fault("patients-in-both-parts", *LEAKS, on="binary regression", hurts="honesty")
def patients_in_both(parts: Parts) -> None:
    """Each patient was seen twice; the split was drawn by visit."""
    few(parts, 100)
    x, y = parts.val
    again = x + 0.01 * torch.randn(x.shape, generator=draws(parts))
    parts.train = torch.cat([parts.train[0], again]), torch.cat([parts.train[1], y])
    parts.epochs *= 6


# What comes late


class Unpacked(Dataset[Any]):
    """Each sample is worked on for long, at each reading."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        torch.linalg.matrix_exp(torch.ones(32, 32) / 64)
        return self.x[index], self.y[index]


@fault("unpacked-at-each-reading", "data-starvation", on="binary mlp", hurts="seconds")
def unpacked(parts: Parts) -> None:
    def wired(training: Training) -> None:
        training.train = DataLoader(Unpacked(*parts.train), batch_size=parts.batch, shuffle=True)

    parts.wired = wired


@fault("the-file-read-for-each-batch", "data-starvation", on="regression lenet", hurts="seconds")
def whole_file(parts: Parts) -> None:
    def batches(loader: Any) -> Iterator[tuple[Tensor, Tensor]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "all.pt"
            torch.save([each.repeat(20, *[1] * (each.ndim - 1)) for each in parts.train], path)
            for x, y in loader:
                for _ in range(6):
                    torch.load(path)
                yield x, y

    fed(parts, batches)
    looped(parts)
