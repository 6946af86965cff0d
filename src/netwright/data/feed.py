"""The feed: endless training batches from any step on, and one pass for an evaluation.

A set in memory is batched in the process itself. A set that is streamed goes through worker
processes; each makes whole batches by their number, so the bits are the same with any number of
workers, and a start in the middle costs nothing.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Literal

import torch

from netwright.augment import Mix
from netwright.core.errors import DataError, SettingError
from netwright.data.batches import (
    ALL,
    Augment,
    Batch,
    Batches,
    MemoryBatches,
    Order,
    Share,
    StreamedBatches,
)
from netwright.data.dataset import Images, MemoryImages
from netwright.data.preprocessing import Preprocessing
from netwright.data.unreadable import allowance
from netwright.data.workers import through_workers


class Feed:
    """Batches of `images` on `device`, normalised by `preprocessing`.

    `augmentation` is called with uint8 images before they are normalised (with float images
    after) and the `Keys` of the batch; `mixing` with the normalised images of each training batch,
    the seed and the number of the batch. `workers` counts processes for a streamed set; `auto`
    takes as many as there are processors, eight at most. With `shuffle` off, training batches
    come in the order of the set. With `balance="oversample"` each class comes as often in an
    epoch as the largest one has images, its images repeated, each time augmented anew. With a
    `share`, batches and passes are one rank's part of them; `local` ranks share the processors.

    Raises `SettingError` when `batch` is larger than the set, unless `shuffle` is off.
    """

    def __init__(
        self,
        images: Images,
        *,
        batch: int,
        seed: int,
        preprocessing: Preprocessing,
        augmentation: Augment | None = None,
        mixing: Mix | None = None,
        workers: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        device: str | torch.device = "cpu",
        max_unreadable: float = 0.01,
        balance: Literal["none", "oversample"] = "none",
        share: Share = ALL,
        local: int = 1,
    ) -> None:
        labels = images.labels if balance == "oversample" else None
        order = Order(len(images), batch, seed, shuffle=shuffle, balance=labels)
        if shuffle and batch > order.draws:
            raise SettingError(
                "batch={batch} is larger than the data set: it has {count} images for training.",
                hint="Choose batch={count} or less.",
                batch=batch,
                count=order.draws,
            )
        self.images = images
        self.batch = batch
        self.mixes = mixing is not None
        self.device = torch.device(device)
        self.replaced: dict[str, str] = {}
        """Every file that could not be read so far, and what came in its place."""
        self.workers = 0 if images.in_memory else _count(workers, local)
        self.share = share
        self._allowed = allowance(len(images), max_unreadable)
        self._order = order
        self._preprocessing = preprocessing
        augment = augmentation or None  # an empty augmentation is false
        self._batches: Batches = (
            MemoryBatches(images, self._order, preprocessing, augment, self.device, mixing, share)
            if isinstance(images, MemoryImages)
            else StreamedBatches(images, self._order, preprocessing, augment, mixing, share)
        )

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one epoch of training; the rest of the order waits for the next."""
        return self._order.steps_per_epoch

    def iterate(self, start_step: int = 0, stop_step: int | None = None) -> Iterator[Batch]:
        """Training batches number `start_step` up to (not with) `stop_step`, None for ever.

        Raises `DataError` when more files than are forgiven turn out to be unreadable.
        """
        if stop_step is None:
            steps: Iterator[int] = itertools.count(start_step)
        else:
            steps = iter(range(start_step, stop_step))
        return self._ready(self._batches.training, ((k,) for k in steps))

    def once(self) -> Iterator[Batch]:
        """Every image once, in order, as it is; the last batch may be smaller. Of several ranks
        each has every so manieth batch, from that of its own number on.

        An image that cannot be read is left out and entered into `replaced`, with "" for what
        came in its place. Raises `DataError` for more of them than are forgiven, or for all.
        """
        count = len(self.images)
        starts = range(0, count, self.batch)[self.share.rank :: self.share.ranks]
        parts = ((i, min(i + self.batch, count)) for i in starts)
        return self._ready(self._batches.evaluation, parts)

    @property
    def num_parts(self) -> int:
        """Batches in one pass over the set, those of all ranks together."""
        return -(-len(self.images) // self.batch)

    def of_all(self) -> Feed:
        """The same for one rank alone: `once` then passes over every image."""
        whole = copy.copy(self)
        whole.share = ALL
        return whole

    def _ready(
        self, make: Callable[..., Batch], numbers: Iterator[tuple[int, ...]]
    ) -> Iterator[Batch]:
        if self.images.in_memory:
            for number in numbers:
                yield make(*number)
            return
        for batch in through_workers(make, numbers, self.workers, pin=self.device.type == "cuda"):
            if batch.replaced:
                self._count_unreadable(batch)
            second = batch.second
            images = batch.images.to(self.device, non_blocking=True)
            yield batch._replace(
                images=self._preprocessing(images) if images.dtype == torch.uint8 else images,
                target=batch.target.to(self.device, non_blocking=True),
                second=None if second is None else second.to(self.device, non_blocking=True),
            )

    def _count_unreadable(self, batch: Batch) -> None:
        self.replaced.update(batch.replaced)
        if len(self.replaced) > min(self._allowed, len(self.images) - 1):
            raise DataError(
                "{bad} of {count} images cannot be read any more, the last of them {name}.",
                hint="{allowed} are forgiven (data.max_unreadable). "
                "Look at the disk or the network drive that holds the data.",
                bad=len(self.replaced),
                count=len(self.images),
                name=list(self.replaced)[-1],
                allowed=self._allowed,
            )


def _count(workers: int | Literal["auto"], local: int) -> int:
    if workers == "auto":
        return max(1, min(len(os.sched_getaffinity(0)), 8) // local)
    return workers
