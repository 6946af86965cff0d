"""Data that may be read a second time without changing anything: tensors, and torch's own data
sets of tensors. A data set of the user's own class is known by the batches that passed by only:
reading it again could draw random numbers, count, or take minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)  # fmt: skip

from netwright.doctor.patient import Source, tensors_in

Pair = tuple[Tensor, Tensor | None]

TARGETS = ("labels", "label", "target", "targets", "y")
"""What a batch that is a dictionary calls its target."""

SHUFFLED = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


Reader = Callable[[Tensor], tuple[Tensor, ...]]
"""Gives the samples of some indices, a tensor for each column."""


def source_of(loader: DataLoader[Any], name: str, passed: Sequence[Pair] = ()) -> Source:
    """What is known of the data of a loader; `passed` are batches of it that came
    by, and may grow."""
    samples, (batch, drop_last) = _length(loader.dataset), _batching(loader)
    shuffled = _shuffled(loader)
    dropped = samples % batch if drop_last and samples and batch else 0
    if readable(loader) and samples and batch:
        return of_dataset(loader.dataset, name, batch, shuffled=shuffled, dropped=dropped)
    return Source(
        name=name,
        batches=lambda: list(passed),
        samples=samples,
        batch=batch,
        shuffled=shuffled,
        dropped=dropped,
    )


def of_dataset(
    dataset: Any, name: str, batch: int, *, shuffled: bool | None, dropped: int = 0
) -> Source:
    """A data set that `reader` reads: its first column is the input, the second the target. A
    shuffled source is given in one random order, drawn from a generator of its own."""
    count = len(dataset)

    def batches() -> Iterator[Pair]:
        read = reader(dataset)
        assert read is not None
        order = torch.arange(count)
        if shuffled:
            order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        for start in range(0, count - dropped, batch):
            columns = read(order[start : min(start + batch, count - dropped)])
            yield columns[0], columns[1] if len(columns) > 1 else None

    return Source(
        name=name,
        batches=batches,
        samples=count,
        batch=batch,
        shuffled=shuffled,
        dropped=dropped,
    )


def readable(loader: DataLoader[Any]) -> bool:
    """Whether a loader's samples are rows of tensors that nobody's code stands before."""
    if loader.collate_fn is not default_collate or _batching(loader)[0] is None:
        return False
    return _of_tensors(loader.dataset)


def _of_tensors(dataset: Any) -> bool:
    if type(dataset) is Subset:
        return _of_tensors(dataset.dataset)
    if type(dataset) is ConcatDataset:
        return all(map(_of_tensors, dataset.datasets))
    return type(dataset) is TensorDataset


def reader(dataset: Any) -> Reader | None:
    """How samples of a data set of torch's own classes are read; None for any other.

    >>> whole = TensorDataset(torch.arange(6), torch.arange(6) % 2)
    >>> [each.tolist() for each in reader(Subset(whole, [4, 1]))(torch.tensor([1]))]
    [[1], [1]]
    >>> [each.tolist() for each in reader(ConcatDataset([whole, whole]))(torch.tensor([7, 2]))]
    [[1, 2], [1, 0]]
    """
    if not _of_tensors(dataset):
        return None
    if isinstance(dataset, TensorDataset):
        return lambda index: tuple(each[index.to(each.device)] for each in dataset.tensors)
    if isinstance(dataset, Subset):
        inner, rows = reader(dataset.dataset), torch.as_tensor(list(dataset.indices))
        assert inner is not None
        return lambda index: inner(rows[index])
    assert isinstance(dataset, ConcatDataset)
    parts, ends = [reader(each) for each in dataset.datasets], dataset.cumulative_sizes

    def read(index: Tensor) -> tuple[Tensor, ...]:
        places = torch.bucketize(index, torch.tensor(ends), right=True).tolist()
        found = []
        for one, place in zip(index.tolist(), places, strict=True):
            part = parts[place]
            assert part is not None
            found.append(part(torch.tensor([one - (ends[place - 1] if place else 0)])))
        return tuple(torch.cat(column) for column in zip(*found, strict=True))

    return read


def pair_of(batch: Any) -> Pair | None:
    """Input and target of a batch, whatever it is packed in; None where it holds no tensor."""
    if isinstance(batch, Mapping):
        target = next(
            (batch[each] for each in TARGETS if isinstance(batch.get(each), Tensor)), None
        )
        inputs = [each for each in tensors_in(dict(batch)) if each is not target]
        return (inputs[0], target) if inputs else None
    parts = list(batch) if isinstance(batch, list | tuple) else [batch]
    found = [next(iter(tensors_in(each)), None) for each in parts]
    if not found or found[0] is None:
        return None
    return found[0], found[1] if len(found) > 1 else None


def given_source(data: Any, name: str, batch: int) -> Source:
    """What a caller handed over: a loader, a data set, a pair of tensors, or batches.

    A caller's own data are read through a loader as it is; the random states are the caller's
    affair. Raises `TypeError` for anything else.
    """
    if isinstance(data, DataLoader):
        known = source_of(data, name)
        if readable(data):
            return known
        return Source(
            name=name,
            batches=lambda: _pairs(data),
            samples=known.samples,
            batch=known.batch,
            shuffled=known.shuffled,
            dropped=known.dropped,
        )
    if isinstance(data, Tensor):
        data = (data,)
    if isinstance(data, tuple) and data and all(isinstance(each, Tensor) for each in data):
        data = TensorDataset(*data)
    if _of_tensors(data):
        return of_dataset(data, name, min(batch, len(data)), shuffled=None)
    if isinstance(data, Dataset):
        loader: DataLoader[Any] = DataLoader(data, batch_size=batch)
        return Source(name=name, batches=lambda: _pairs(loader), samples=_length(data), batch=batch)
    if isinstance(data, Iterable):
        kept = data if isinstance(data, Sequence) else list(data)
        first = next(iter(_pairs(kept)), None)
        return Source(
            name=name,
            batches=lambda: _pairs(kept),
            samples=sum(len(inputs) for inputs, _ in _pairs(kept)),
            batch=len(first[0]) if first is not None else None,
        )
    raise TypeError(type(data).__name__)


def _pairs(batches: Iterable[Any]) -> Iterator[Pair]:
    for each in batches:
        pair = pair_of(each)
        if pair is not None:
            yield pair


def _length(dataset: Any) -> int | None:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        return None
    return len(dataset)


def _batching(loader: DataLoader[Any]) -> tuple[int | None, bool]:
    """Samples in a batch, None where that is not fixed, and whether a rest is left out. A loader
    that was given a batch sampler, as accelerate gives one, leaves both to that."""
    if loader.batch_size is not None:
        return loader.batch_size, loader.drop_last
    size = getattr(loader.batch_sampler, "batch_size", None)
    drop_last = bool(getattr(loader.batch_sampler, "drop_last", False))
    return (size, drop_last) if isinstance(size, int) and size > 0 else (None, False)


def _shuffled(loader: DataLoader[Any]) -> bool | None:
    if isinstance(loader.dataset, IterableDataset):
        return None
    sampler: Any = loader.sampler
    if loader.batch_size is None:  # then that one stands idle
        sampler = loader.batch_sampler
        for _ in range(4):  # accelerate puts one batch sampler around another
            inner = getattr(sampler, "batch_sampler", None) or getattr(sampler, "sampler", None)
            if inner is None:
                break
            sampler = inner
    if isinstance(sampler, SHUFFLED):
        return True
    return False if type(sampler) is SequentialSampler else None
