"""Worker processes that make batches by their number, and cannot outlive who started them."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from netwright.core.errors import ExhaustedError, NetwrightError
from netwright.core.linux import die_with_parent
from netwright.data.batches import Batch

_LEFT_TO_PARENT = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}


def through_workers(
    make: Callable[..., Batch], numbers: Iterator[tuple[int, ...]], workers: int, *, pin: bool
) -> Iterator[Batch]:
    """`make(*number)` for each of `numbers`, in order, made ahead by `workers` processes, or in
    this one when it is wanted if `workers` is 0.

    An error of ours raised in a worker is raised here as it was; a worker that was killed, or
    ended itself, is an `ExhaustedError`, noticed within five seconds. `pin` puts the tensors
    where a copy to the GPU need not wait.
    """
    with warnings.catch_warnings():
        # More workers than processors is the user's choice, and does no harm to the bits.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        child_ended = signal.getsignal(signal.SIGCHLD)
        # Signals wait while the workers start, which until they have settled would obey them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_PARENT)
        try:
            held = [iter(_loader(make, numbers, workers, pin))]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if threading.current_thread() is threading.main_thread():
        # The loader's own handler would raise in whatever line the training happens to be when a
        # worker dies. Without it the death is found here, when that worker's batch is missed.
        signal.signal(signal.SIGCHLD, child_ended)
    # The workers end when the iterator is let go. A loop that was left in the middle may keep
    # this generator until Python exits, and would then be waited for.
    atexit.register(held.clear)
    try:
        while (made := _next(held[0], workers)) is not None:
            if isinstance(made, NetwrightError):
                raise made
            yield made
    finally:
        held.clear()
        atexit.unregister(held.clear)


def _next(batches: Iterator[Any], workers: int) -> Any:
    """The next of `batches`, None at the end."""
    try:
        return next(batches, None)
    except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
        # Its last batch may have come through while the memory it lies in can no more be had:
        # then the connection fails before the loader misses anybody.
        lost = "DataLoader worker (pid" in str(error) or not isinstance(error, RuntimeError)
        if not workers or not lost or "in DataLoader worker process" in str(error):
            raise
        raise ExhaustedError(
            "A data worker was killed or ended before its work was done.",
            hint="Often memory ran out: take fewer (data.workers={fewer}) or smaller images "
            "(data.size), and go on with netwright train --resume.",
            fewer=workers // 2,
        ) from error


def _loader(
    make: Callable[..., Batch], numbers: Iterator[tuple[int, ...]], workers: int, pin: bool
) -> DataLoader[Any]:
    return DataLoader(
        _Numbered(make),
        sampler=numbers,  # any iterable will do: a length is never asked for
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        worker_init_fn=functools.partial(_settle, os.getpid()),
        multiprocessing_context="fork" if workers else None,
        pin_memory=pin,
        # Its own generator: the loader would draw a seed from torch's global one, and with it
        # the state of the run would depend on how often a loader was made.
        generator=torch.Generator().manual_seed(0),
    )


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


def _as_it_is(made: Any) -> Any:
    """In place of the loader's own conversion of arrays to tensors and tuples to lists."""
    return made


def _settle(parent: int, worker: int) -> None:
    """A worker's manners: it dies with its parent, and obeys no signal but its parent's.

    A signal often reaches every process of a job; the parent then finishes its step and saves,
    and needs its batches for that. Only the parent may end a worker.
    """
    die_with_parent(parent)  # by its number: it may have been killed before we came this far
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_parent, args=(parent,), daemon=True).start()


def _wait_for_parent(parent: int) -> None:
    # A handler is not told who sent a signal; a thread that waits for it is.
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
