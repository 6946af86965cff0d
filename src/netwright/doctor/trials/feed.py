"""Data in batches whose order depends on a seed alone: the same for a change and its control."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from netwright.core.errors import DataError, SettingError
from netwright.doctor.watching.sources import pair_of, reader

Pair = tuple[Tensor, Tensor]
Change = Callable[[Tensor, Tensor], Pair]
"""Of the inputs and the targets of a batch."""

BATCH = 64
"""Samples in a batch of data that are not in batches yet."""

MOST_KEPT = 2 * 2**30
"""Bytes of batches that are kept of data which cannot be read by index."""

HELD_BACK = 0.2
"""The part of the training data that judges where there are no validation data."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Samples `rows` of what `read` gives, in batches of `batch`.

    `read` takes a list of indices and gives their inputs and targets. `unit` is how many samples
    one index stands for: batches that were kept as they came are given back as they came. `weights`
    are the chances of a row where they are drawn unevenly, with replacement. `changes` are made to
    every batch, in order.
    """

    read: Callable[[Sequence[int]], Pair]
    rows: tuple[int, ...]
    batch: int
    unit: int = 1
    shuffle: bool = True
    drop_last: bool = False
    weights: Tensor | None = None
    changes: tuple[Change, ...] = ()
    device: torch.device | None = None

    @property
    def samples(self) -> int:
        return len(self.rows) * self.unit

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.rows), self.batch)
        return max(1, whole + bool(rest and not (self.drop_last and whole)))

    def order(self, seed: int, epoch: int) -> list[int]:
        """The rows of one epoch as they are fed."""
        draw = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        if self.weights is not None:
            drawn = torch.multinomial(self.weights, len(self.rows), True, generator=draw)
            return [self.rows[each] for each in drawn.tolist()]
        if not self.shuffle:
            return list(self.rows)
        return [self.rows[each] for each in torch.randperm(len(self.rows), generator=draw).tolist()]

    def fed(self, seed: int = 0, epoch: int = 0) -> list[int]:
        """The samples of one epoch in the order they are fed, numbered as they were handed over."""
        order = self.order(seed, epoch)
        return [each * self.unit + place for each in order for place in range(self.unit)]

    def batches(self, seed: int = 0, epoch: int = 0, *, start: int = 0) -> Iterator[Pair]:
        """The batches of one epoch from the batch `start` on; those before it are not read."""
        order = self.order(seed, epoch)
        for number in range(start, self.steps):
            yield self.of(order[number * self.batch : (number + 1) * self.batch])

    def of(self, rows: Sequence[int]) -> Pair:
        """Inputs and targets of some rows."""
        inputs, targets = self.read(rows)
        if self.device is not None:
            inputs, targets = inputs.to(self.device), targets.to(self.device)
        for change in self.changes:
            inputs, targets = change(inputs, targets)
        return inputs, targets

    def changed(self, change: Change) -> Feed:
        return dataclasses.replace(self, changes=(*self.changes, change))

    def of_batch(self, samples: int) -> Feed:
        """The same in batches of so many samples."""
        return dataclasses.replace(self, batch=max(1, samples // self.unit))

    def parted(self, share: float = HELD_BACK, seed: int = 0) -> tuple[Feed, Feed]:
        """A part to learn from, and a part to judge by, drawn once."""
        count = round(share * len(self.rows))
        if not 1 <= count < len(self.rows):
            raise DataError(
                "The training data are too few to hold a part back that judges: {count} samples.",
                hint="Give validation data: nw.heal(model, optimizer, loss_fn, train, val)",
                count=self.samples,
            )
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(seed))
        held, kept = order[:count].sort().values.tolist(), order[count:].sort().values.tolist()
        return (
            dataclasses.replace(self, rows=tuple(self.rows[each] for each in kept)),
            dataclasses.replace(
                self, rows=tuple(self.rows[each] for each in held), shuffle=False, drop_last=False
            ),
        )


def feed_of(data: Any, *, device: torch.device | None = None, judging: bool = False) -> Feed:
    """The feed of what a caller handed over: a DataLoader, a data set, a pair of tensors, or
    batches. Data that can be read once only are kept, as long as they take less than 2 GiB.

    Raises `SettingError` for anything else, `DataError` where a batch has no target or there is
    no batch at all.
    """
    if isinstance(data, tuple) and data and all(isinstance(each, Tensor) for each in data):
        lengths = [len(each) if each.ndim else 0 for each in data]
        if len(set(lengths)) > 1:
            raise DataError(
                "The tensors hold different numbers of samples: {lengths}.",
                lengths=", ".join(map(str, lengths)),
            )
        data = TensorDataset(*data)
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=BATCH)
    if isinstance(data, DataLoader):
        feed = _of_loader(data)
    elif isinstance(data, Dataset):
        feed = _of_dataset(data, BATCH, default_collate)
    elif isinstance(data, Iterable):
        feed = _kept(data)
    else:
        raise SettingError(
            "Healing takes a DataLoader, a data set, a pair of tensors or a list of batches, "
            "not {kind}.",
            kind=type(data).__name__,
        )
    feed = dataclasses.replace(feed, device=device)
    return dataclasses.replace(feed, shuffle=False, drop_last=False) if judging else feed


def _of_loader(loader: DataLoader[Any]) -> Feed:
    plain = isinstance(loader.sampler, RandomSampler | SequentialSampler)
    if isinstance(loader.dataset, IterableDataset) or loader.batch_size is None or not plain:
        return _kept(loader)
    feed = _of_dataset(loader.dataset, loader.batch_size, loader.collate_fn)
    shuffled = isinstance(loader.sampler, RandomSampler)
    return dataclasses.replace(feed, shuffle=shuffled, drop_last=loader.drop_last)


def _of_dataset(dataset: Any, batch: int, collate: Callable[..., Any]) -> Feed:
    try:
        samples = len(dataset)
    except TypeError as error:
        raise DataError(
            "The data set has no length: {kind}.",
            hint="Give it a method __len__, or make it an IterableDataset.",
            kind=type(dataset).__name__,
        ) from error
    if not samples:
        raise DataError("The data hold no sample.")
    fast = reader(dataset) if collate is default_collate else None

    def read(rows: Sequence[int]) -> Pair:
        if fast is not None:
            columns = fast(torch.tensor(rows))
            if len(columns) > 1:
                return columns[0], columns[1]
        return _pair(collate([dataset[each] for each in rows]))

    return Feed(read=read, rows=tuple(range(samples)), batch=min(batch, samples))


def _kept(batches: Iterable[Any]) -> Feed:
    kept: list[Pair] = []
    size = 0
    for each in batches:
        kept.append(_pair(each))
        size += sum(one.numel() * one.element_size() for one in kept[-1])
        if size > MOST_KEPT:
            raise DataError(
                "The data can be read once only, and are too many to keep: more than {limit} GiB.",
                hint="Give a data set that is read by index, or fewer batches.",
                limit=MOST_KEPT // 2**30,
            )
    if not kept:
        raise DataError("The data hold no batch.")

    def read(rows: Sequence[int]) -> Pair:
        return kept[rows[0]]

    return Feed(read=read, rows=tuple(range(len(kept))), batch=1, unit=len(kept[0][0]))


def _pair(batch: Any) -> Pair:
    pair = pair_of(batch)
    if pair is None or pair[1] is None:
        raise DataError(
            "A batch holds no input and target: {kind}.",
            hint="Healing trains with loss_fn(model(input), target) for batches (input, target) of "
            "tensors; arrays become tensors by torch.from_numpy.",
            kind=type(batch).__name__,
        )
    return pair[0], pair[1]
