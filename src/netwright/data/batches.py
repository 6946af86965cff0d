"""Batches as a function of their number: which images, how augmented, in which bits.

Training batch k of a set is a function of (seed, k) alone: k gives the epoch and the place in
it, (seed, epoch) the order, (seed, epoch, index) the augmentation of an image, (seed, k) who is
mixed with whom. Nothing here has a state to save, so any process can make any batch, and a run can
go on from any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from netwright.augment import Mix
from netwright.augment.keys import Keys
from netwright.core.errors import DataError
from netwright.core.keyed import key, permutation
from netwright.data.balance import balanced_draws, balanced_order
from netwright.data.dataset import Images, Int64Array, MemoryImages, UnreadableImageError
from netwright.data.foreign import ForeignImages
from netwright.data.preprocessing import Preprocessing

Augment: TypeAlias = Callable[[Tensor, Keys], Tensor]


_AHEAD, _AHEAD_BYTES = 16, 2**21
"""Small batches of a set in memory are augmented several at once: no more than these."""


class Whole(NamedTuple):
    """The labels and places of a whole batch of which a rank holds its share."""

    target: Tensor
    second: Tensor | None
    index: Int64Array  # type: ignore[assignment]  # a tuple has a method of this name


class Batch(NamedTuple):
    """`images` (N, C, H, W) float32 as the network sees them, `target` (N,) int64, `index` (N,)
    where they stand in their split, on the host. `replaced` has (bad file, what came instead)
    for each file that could not be read; in evaluation it is left out instead, with "".

    Where images are mixed with each other (mixup, cutmix), `share` of each has the label
    `target`, at least one half, and the rest the label `second` (N,).

    With several ranks this is one rank's share of the `whole`."""

    images: Tensor
    target: Tensor
    index: Int64Array  # type: ignore[assignment]  # a tuple has a method of this name
    epoch: int
    replaced: tuple[tuple[str, str], ...] = ()
    second: Tensor | None = None
    share: float = 1.0
    whole: Whole | None = None

    def part(self, part: slice) -> Batch:
        """Some of the images, with what belongs to them; `replaced` stays with the whole."""
        return self._replace(
            images=self.images[part],
            target=self.target[part],
            index=self.index[part],
            replaced=(),
            second=None if self.second is None else self.second[part],
        )


class Share(NamedTuple):
    """The part of every batch that one of several ranks computes: equal, neighbouring slices.

    >>> Share(1, 2).of(slice(64, 128))
    slice(96, 128, None)
    """

    rank: int = 0
    ranks: int = 1

    def of(self, part: slice) -> slice:
        """This rank's slice of a slice, whose length the ranks divide."""
        size = (part.stop - part.start) // self.ranks
        return slice(part.start + self.rank * size, part.start + (self.rank + 1) * size)

    def cut(self, batch: Batch, whole: Whole) -> Batch:
        """This rank's part of a batch that was made whole."""
        own = batch.part(self.of(slice(0, len(batch.target))))
        return own._replace(replaced=batch.replaced, whole=whole)


ALL = Share()


class Order:
    """Which images training batch k holds: full batches of a new keyed order in each epoch.

    An epoch is an order of draws. Draw `d` is of image `d % images`; the second draw of an image
    in an epoch is `images` more than the first, so that it is augmented in its own way. With
    the labels to `balance`, every class is drawn as often as the largest one has images.
    """

    def __init__(
        self,
        images: int,
        batch: int,
        seed: int,
        *,
        shuffle: bool = True,
        balance: Int64Array | None = None,
    ) -> None:
        self.images = images
        self.batch = batch
        self.seed = seed
        self.shuffle = shuffle
        self.balance = balance
        self.draws = images if balance is None else balanced_draws(balance)
        self.steps_per_epoch = self.draws // batch
        self._epoch = -1
        self._order: Int64Array = np.arange(images)

    def place(self, k: int) -> tuple[int, slice]:
        """The epoch of batch k, and its slice of that epoch's order."""
        epoch, step = divmod(k, self.steps_per_epoch)
        return epoch, slice(step * self.batch, (step + 1) * self.batch)

    def of(self, epoch: int) -> Int64Array:
        """The draws of one epoch in their order; kept until another is asked for."""
        if epoch != self._epoch:
            if self.balance is not None:
                self._order = balanced_order(self.balance, self.seed, epoch)
            elif self.shuffle:
                self._order = permutation(self.images, self.seed, epoch)
            self._epoch = epoch
        return self._order


class Batches(Protocol):
    """Makes training batch k, or the images `first` to `last` in order for an evaluation."""

    def training(self, k: int) -> Batch: ...

    def evaluation(self, first: int, last: int) -> Batch: ...


class MemoryBatches:
    """Batches of a set that is one tensor: one gather, then arithmetic on the whole batch.

    Bytes stay bytes until the gather is done: on the test machine gathering a batch of MNIST as
    bytes and normalising it takes 23 us, gathering it ready-made as floats 24, of CIFAR-10 110
    and 156. Float images are normalised once and for all.
    """

    def __init__(
        self,
        images: MemoryImages,
        order: Order,
        preprocessing: Preprocessing,
        augment: Augment | None,
        device: torch.device,
        mix: Mix | None = None,
        share: Share = ALL,
    ) -> None:
        pool = images.pool.to(device)
        self._bytes = pool.dtype == torch.uint8
        if not self._bytes and not preprocessing.is_identity:
            pool = preprocessing(pool)
        self._pool = pool
        self._rows = torch.from_numpy(images.rows).to(device)
        self._labels = torch.from_numpy(images.labels).to(device)
        self._order = order
        self._preprocessing = preprocessing
        self._augment = augment
        self._mix = mix
        self._share = share
        size = pool[:1].numel() * pool.element_size() * order.batch
        self._together = max(1, min(_AHEAD_BYTES // max(size, 1), _AHEAD))
        self._ahead: dict[int, Tensor] = {}
        self._last = -1
        self._epoch = -1
        self._epoch_rows = self._rows
        self._epoch_labels = self._labels
        self._epoch_draws: Int64Array = np.arange(len(images))
        self._epoch_index = self._epoch_draws

    def training(self, k: int) -> Batch:
        epoch, part, whole = self._place(k)
        if epoch != self._epoch:
            self._epoch_draws = self._order.of(epoch)
            self._epoch_index = self._epoch_draws % self._order.images
            shuffled = torch.from_numpy(self._epoch_index).to(self._rows.device)
            self._epoch_rows = self._rows[shuffled]
            self._epoch_labels = self._labels[shuffled]
            self._epoch = epoch
        index = self._epoch_index[part]
        images = self._pixels(k, epoch, part)
        batch = Batch(self._normal(images), self._epoch_labels[part], index, epoch)
        batch = _mixed(batch, self._mix, self._order.seed, k)
        if self._share.ranks == 1:
            return batch
        if self._mix is not None:
            return self._share.cut(batch, Whole(batch.target, batch.second, index))
        all_of_it = Whole(self._epoch_labels[whole], None, self._epoch_index[whole])
        return batch._replace(whole=all_of_it)

    def _place(self, k: int) -> tuple[int, slice, slice]:
        """The epoch of batch k, this rank's slice of its order, and that of all ranks."""
        epoch, whole = self._order.place(k)
        # Images are mixed within the whole batch: each rank then makes all of it.
        return epoch, whole if self._mix is not None else self._share.of(whole), whole

    def _pixels(self, k: int, epoch: int, part: slice) -> Tensor:
        """The images of batch k, augmented; as it follows another, with the next few ones.

        Of small batches the number of operations costs and not their size: measured on 64 images
        of 32x32x3, flipped and cropped, 0.50 ms for each batch alone, 0.33 ms with ten at once.
        """
        if k not in self._ahead:
            steps = [k]
            if self._augment is not None and k == self._last + 1:
                left = self._order.steps_per_epoch - k % self._order.steps_per_epoch
                steps = list(range(k, k + min(self._together, left)))
            parts = [self._place(step)[1] for step in steps]
            rows = torch.cat([self._epoch_rows[each] for each in parts])
            images = self._pool.index_select(0, rows)
            if self._augment is not None:
                draws = np.concatenate([self._epoch_draws[each] for each in parts])
                images = self._augment(images, Keys(self._order.seed, epoch, draws))
            self._ahead = dict(zip(steps, images.chunk(len(steps)), strict=True))
        self._last = k
        images = self._ahead.pop(k)
        # Floats go to the network as they are. In the middle of other memory they might lie
        # otherwise than in a batch made alone, and a product be rounded otherwise.
        return images if self._bytes or self._together == 1 else images.clone()

    def evaluation(self, first: int, last: int) -> Batch:
        images = self._normal(self._pool.index_select(0, self._rows[first:last]))
        return Batch(images, self._labels[first:last], np.arange(first, last), 0)

    def _normal(self, images: Tensor) -> Tensor:
        return self._preprocessing(images) if self._bytes else images


class StreamedBatches:
    """Batches of a set that is read image by image, in whichever process.

    Bytes that are mixed with nobody are left as they are, for who takes the batch to normalise:
    as floats they would be four times as much to hand over from a worker, and to a GPU.
    """

    def __init__(
        self,
        images: Images,
        order: Order,
        preprocessing: Preprocessing,
        augment: Augment | None,
        mix: Mix | None = None,
        share: Share = ALL,
    ) -> None:
        self._images = images
        self._order = order
        self._preprocessing = preprocessing
        self._augment = augment
        self._mix = mix
        self._share = share

    def training(self, k: int) -> Batch:
        epoch, whole = self._order.place(k)
        part = whole if self._mix is not None else self._share.of(whole)
        draws = self._order.of(epoch)[part]
        wanted = draws % self._order.images
        images = self._images.draw_all(wanted) if isinstance(self._images, ForeignImages) else None
        replaced: list[tuple[str, str]] = []
        found = wanted
        if images is None:
            images, found, replaced = self._one_by_one(wanted, epoch)
        stacked = torch.stack(images)
        if isinstance(self._images, ForeignImages):
            self._images.check_finite(stacked, found)
        keys = Keys(self._order.seed, epoch, draws)
        batch = self._batch(stacked, keys, found, epoch, tuple(replaced))
        batch = _mixed(batch, self._mix, self._order.seed, k)
        if self._share.ranks == 1:
            return batch
        if self._mix is not None:
            return self._share.cut(batch, Whole(batch.target, batch.second, found))
        index = self._order.of(epoch)[whole] % self._order.images
        labels = torch.from_numpy(self._images.labels[index])  # what stands in has the same label
        return batch._replace(whole=Whole(labels, None, index))

    def evaluation(self, first: int, last: int) -> Batch:
        images, index, left_out = [], [], []
        for i in range(first, last):
            try:
                images.append(self._images.read(i))
                index.append(i)
            except UnreadableImageError:
                left_out.append((self._images.name(i), ""))
        stacked = (
            torch.stack(images)
            if images
            else torch.empty(0, *self._images.shape, dtype=torch.uint8)
        )
        return self._batch(stacked, None, np.array(index, np.int64), 0, tuple(left_out))

    def _batch(
        self,
        images: Tensor,
        keys: Keys | None,
        index: Int64Array,
        epoch: int,
        replaced: tuple[tuple[str, str], ...],
    ) -> Batch:
        late = images.dtype != torch.uint8  # floats are augmented as they are in memory: normalised
        if late:
            images = self._preprocessing.in_place(images)
        if keys is not None and self._augment is not None:
            images = self._augment(images, keys)
        if not late and self._mix is not None:
            images = self._preprocessing(images)
        target = torch.from_numpy(self._images.labels[index])
        return Batch(images, target, index, epoch, replaced)

    def _one_by_one(
        self, wanted: Int64Array, epoch: int
    ) -> tuple[list[Tensor], Int64Array, list[tuple[str, str]]]:
        """The images, where each stands, and those that came instead of an unreadable one."""
        number = key(self._order.seed, "item", epoch)
        images: list[Tensor] = []
        index = wanted.tolist()
        replaced = []
        for place, i in enumerate(wanted.tolist()):
            try:
                images.append(self._read(i, number))
            except UnreadableImageError as error:
                image, index[place] = self._stand_in(i, number, error)
                images.append(image)
                replaced.append((self._images.name(i), self._images.name(index[place])))
        return images, np.array(index, np.int64), replaced

    def _read(self, i: int, number: int) -> Tensor:
        if isinstance(self._images, ForeignImages):  # which may draw at random: keyed as all is
            return self._images.draw(i, number)
        return self._images.read(i)

    def _stand_in(self, i: int, number: int, error: UnreadableImageError) -> tuple[Tensor, int]:
        """For a bad file the next good one of its class, round the end if need be."""
        members = np.flatnonzero(self._images.labels == self._images.labels[i])
        start = int(np.searchsorted(members, i)) + 1
        for j in np.roll(members, -start)[:-1].tolist():
            try:
                return self._read(j, number), j
            except UnreadableImageError:
                continue
        raise DataError(
            "No image of the class of {name} can be read any more: {reason}.",
            hint="Look at the disk or the network drive that holds the data.",
            name=self._images.name(i),
            reason=error.values.get("reason", ""),
        ) from error


def _mixed(batch: Batch, mix: Mix | None, seed: int, k: int) -> Batch:
    """Training batch `k` with its images mixed, the label with the larger share first."""
    if mix is None:
        return batch
    images, partner, share = mix(batch.images, seed, k)
    own, other = batch.target, batch.target[torch.from_numpy(partner).to(batch.target.device)]
    if share < 0.5:
        own, other, share = other, own, 1 - share
    return batch._replace(images=images, target=own, second=other, share=share)
