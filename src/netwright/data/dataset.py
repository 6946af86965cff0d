"""What a data set is to the rest of the house: named splits of images with labels.

Images are `(C, H, W)` tensors, uint8 in 0..255 or float32 as the source gives them; labels are
int64 numbers of classes. `MemoryImages` is one tensor and what every small set becomes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from netwright.core.errors import DataError
from netwright.core.events import Noted

Int64Array: TypeAlias = npt.NDArray[np.int64]


class UnreadableImageError(DataError):
    """One image that cannot be read: `values` hold `name` and `reason`."""


class Images(Protocol):
    """Images with labels, read one at a time."""

    @property
    def labels(self) -> Int64Array:
        """(N,), numbers of classes."""

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing, so that no worker process is worth its while."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    def name(self, i: int) -> str:
        """What to call image `i`: its path inside the set, or its number."""

    def read(self, i: int) -> Tensor:
        """Image `i` as (C, H, W), uint8 or float32; raises `UnreadableImageError`."""

    def content(self) -> bytes:
        """What changes when the pixels do, as far as they are known without reading them."""

    def subset(self, rows: Int64Array) -> Images:
        """The images at `rows`, in that order."""

    def relabelled(self, numbers: Int64Array) -> Images:
        """The same images with label `numbers[label]`."""


class MemoryImages:
    """Images that are one tensor in memory, (N, C, H, W), uint8 or float32.

    A subset shares the tensor: `rows` says which of its images belong, None for all in order.

    >>> import torch
    >>> images = MemoryImages(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), np.array([0, 1, 1]))
    >>> len(images), images.shape, images.name(2), images.subset(np.array([2])).name(0)
    (3, (1, 8, 8), '00002', '00002')
    """

    in_memory = True

    def __init__(
        self,
        pool: Tensor,
        labels: Int64Array,
        *,
        names: Callable[[int], str] = "{:05d}".format,
        marks: Callable[[int], bytes] | None = None,
        rows: Int64Array | None = None,
    ) -> None:
        """`labels` has one number for each image of this set, `names` takes a row of the pool.

        `marks` takes one too and gives what tells its content from another's; without it the
        pixels themselves do, as they were before any resizing.
        """
        self.pool = pool
        self.labels = np.ascontiguousarray(labels, dtype=np.int64)
        self.rows = np.arange(len(pool)) if rows is None else rows
        self._names = names
        self._marks = marks or _PixelMark(pool)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pool.shape[1:]
        return channels, height, width

    def name(self, i: int) -> str:
        return self._names(int(self.rows[i]))

    def read(self, i: int) -> Tensor:
        return self.pool[int(self.rows[i])]

    def subset(self, rows: Int64Array) -> MemoryImages:
        return self._with(labels=self.labels[rows], rows=self.rows[rows])

    def relabelled(self, numbers: Int64Array) -> MemoryImages:
        return self._with(labels=numbers[self.labels])

    def content(self) -> bytes:
        return b"".join(self._marks(int(row)) for row in self.rows)

    def replaced(self, pool: Tensor) -> MemoryImages:
        """The same images with other pixels: `pool` has one image for each of the old pool."""
        # Resizing floats may differ in a last bit between machines; what was given does not.
        self._marks(0)
        return self._with(pool=pool)

    def _with(self, **changed: Any) -> MemoryImages:
        kept: dict[str, Any] = {"pool": self.pool, "labels": self.labels, "rows": self.rows}
        kept |= {"names": self._names, "marks": self._marks}
        return MemoryImages(**(kept | changed))


class _PixelMark:
    """One mark for all the images of a tensor, worked out when it is first wanted: SHA-256 of
    its bytes, about a gigabyte a second on the test machine (MNIST 45 ms), once."""

    def __init__(self, pool: Tensor) -> None:
        self._pool: Tensor | None = pool
        self._mark = b""

    def __call__(self, row: int) -> bytes:
        if self._pool is not None:
            flat = self._pool.detach().cpu().contiguous().numpy().reshape(-1)
            kind = f"{self._pool.dtype} {tuple(self._pool.shape)}"
            digest = hashlib.sha256(kind.encode())
            digest.update(flat.data.cast("B"))
            self._mark, self._pool = digest.digest(), None
        return self._mark


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that was opened: its splits (`train`, `val`, `test`, as far as there are any),
    class names in the order of their numbers, and everything a user should know about it.

    `layout` says in a sentence what the data was taken for; `quarantined` names each file that
    was left out and why.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Images]
    notes: tuple[Noted, ...] = ()
    quarantined: tuple[tuple[str, str], ...] = ()
    attribution: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W), the same for every image of every split."""
        return next(iter(self.splits.values())).shape

    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each class in each split."""
        return {
            split: dict(zip(self.classes, class_counts(images, len(self.classes)), strict=True))
            for split, images in self.splits.items()
        }

    def fingerprint(self) -> str:
        """32 hex digits that change with any name, label, class, size, split membership or
        content, and are the same whether files are held in memory or streamed.

        What is known of the content: of each file its length and a hash of its first and last
        4 KiB; of tensors, arrays, idx files and a data set of the user's that was read into
        memory a hash of all pixels as they were given; of a data set of the user's that is
        streamed, and of images that Netwright draws, nothing.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        """Taken once: every checkpoint states it, and of 60,000 images it takes 0.1 s."""
        digest = hashlib.sha256()
        for part in (*self.classes, *map(str, self.shape)):
            digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
        for split, images in sorted(self.splits.items()):
            digest.update(f"\n{split} {len(images)}\n".encode())
            digest.update(images.labels.tobytes())
            names = "\0".join(images.name(i) for i in range(len(images)))
            digest.update(names.encode("utf-8", "surrogateescape"))
            digest.update(b"\n" + images.content())
        return digest.hexdigest()[:32]


def class_counts(images: Images, num_classes: int) -> list[int]:
    """How many images each class has."""
    counts: list[int] = np.bincount(images.labels, minlength=num_classes).tolist()
    return counts
