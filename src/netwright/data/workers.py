"""Worker processes that make batches by their number, and cannot outlive who started them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from netwright.core.errors import NetwrightError
from netwright.core.linux import die_with_parent
from netwright.data.batches import Batch


def through_workers(
    make: Callable[..., Batch], numbers: Iterator[tuple[int, ...]], workers: int, *, pin: bool
) -> Iterator[Batch]:
    """`make(*number)` for each of `numbers`, in order, made ahead by `workers` processes.

    An error of ours raised in a worker is raised here as it was. `pin` puts the tensors where a
    copy to the GPU need not wait.
    """
    loader: DataLoader[Any] = DataLoader(
        _Numbered(make),
        sampler=numbers,  # any iterable will do: a length is never asked for
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_settle,
        multiprocessing_context="fork",
        pin_memory=pin,
        # Its own generator: the loader would draw a seed from torch's global one, and with it
        # the state of the run would depend on how often a loader was made.
        generator=torch.Generator().manual_seed(0),
    )
    for made in loader:
        if isinstance(made, NetwrightError):
            raise made
        yield made


class _Numbered(TorchDataset[Any]):
    """What the loader calls a data set: item `number` is a whole batch."""

    def __init__(self, make: Callable[..., Batch]) -> None:
        self._make = make

    def __getitem__(self, number: tuple[int, ...]) -> Batch | NetwrightError:
        try:
            return self._make(*number)
        except NetwrightError as error:
            # Handed over as a value: the loader rebuilds a raised error from its text alone.
            return error


def _settle(worker: int) -> None:
    """A worker's manners: it dies with its parent, and leaves signals to it. A signal often
    reaches the whole group; the parent finishes its step and saves, and needs batches for that."""
    die_with_parent()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(each, signal.SIG_IGN)
