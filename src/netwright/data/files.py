"""Images that stay in their files and are read when they are wanted."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.data.dataset import Int64Array, MemoryImages, UnreadableImageError
from netwright.data.reading import Decode, Header, Place, quiet, read_image

Bad: TypeAlias = tuple[str, Phrase | str]
"""The name of a file that cannot be used, and why."""

_AHEAD = 64


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One file of a set: where it is, what to call it, and what its header says."""

    path: Place
    name: str
    header: Header


@dataclass(frozen=True, kw_only=True)
class FileImages:
    """`files` with their `labels`; `read` gives uint8 (channels, *size)."""

    files: tuple[Listed, ...]
    labels: Int64Array
    channels: int = 3
    size: tuple[int, int] = (224, 224)
    decode: Decode = "fast"
    in_memory: bool = False

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, *self.size)

    def name(self, i: int) -> str:
        return self.files[i].name

    def read(self, i: int) -> Tensor:
        with quiet():
            return self._decode(i)

    def content(self) -> bytes:
        return b"".join(file.header.mark for file in self.files)

    def subset(self, rows: Int64Array) -> FileImages:
        chosen = tuple(self.files[int(i)] for i in rows)
        return dataclasses.replace(self, files=chosen, labels=self.labels[rows])

    def shaped(self, channels: int, size: tuple[int, int]) -> FileImages:
        """The same files, to be read in this shape."""
        return dataclasses.replace(self, channels=channels, size=size)

    def decoding(self, decode: Decode) -> FileImages:
        """The same files, JPEG among them to be decoded in this way."""
        return dataclasses.replace(self, decode=decode)

    def relabelled(self, numbers: Int64Array) -> FileImages:
        return dataclasses.replace(self, labels=numbers[self.labels])

    def _decode(self, i: int) -> Tensor:
        file = self.files[i]
        return read_image(
            file.path,
            channels=self.channels,
            size=self.size,
            name=file.name,
            decode=self.decode,
        )


def decoded(images: FileImages) -> tuple[MemoryImages, list[Bad]]:
    """All of `images` as one tensor in memory, and (name, reason) of those that cannot be read."""
    pool = torch.empty(len(images), *images.shape, dtype=torch.uint8)
    bad = _try_all(images, range(len(images)), pool)
    good = np.array([i for i in range(len(images)) if i not in bad], np.int64)
    files = images.files
    held = MemoryImages(
        pool,
        images.labels[good],
        names=lambda row: files[row].name,
        marks=lambda row: files[row].header.mark,
        rows=good,
    )
    return held, _named(images, bad)


def sampled(images: FileImages, rows: Int64Array) -> tuple[FileImages, list[Bad]]:
    """`images` without those of `rows` whose pixels cannot be read, and (name, reason) of these."""
    bad = _try_all(images, [int(i) for i in rows], None)
    good = np.array([i for i in range(len(images)) if i not in bad], np.int64)
    return (images.subset(good) if bad else images), _named(images, bad)


def each_decoded(images: FileImages, rows: Iterable[int]) -> Iterator[tuple[int, Tensor]]:
    """Each of `rows` with its pixels, in order, read by a few threads; those that cannot be read
    are passed over."""

    def one(i: int) -> Tensor | None:
        try:
            return images._decode(i)
        except UnreadableImageError:
            return None

    with quiet(), ThreadPoolExecutor(_threads()) as executor:
        todo = iter(rows)
        while chunk := list(itertools.islice(todo, _AHEAD)):  # so that few pixels wait at a time
            for i, pixels in zip(chunk, executor.map(one, chunk), strict=True):
                if pixels is not None:
                    yield i, pixels


def _try_all(
    images: FileImages, rows: range | list[int], pool: Tensor | None
) -> dict[int, Phrase | str]:
    """Read `rows` with a few threads, into `pool` if there is one; the reason for each bad row."""

    def one(i: int) -> tuple[int, Phrase | str]:
        try:
            pixels = images._decode(i)
        except UnreadableImageError as error:
            return i, error.values["reason"]
        if pool is not None:
            pool[i] = pixels
        return i, ""

    with quiet(), ThreadPoolExecutor(_threads()) as executor:
        return {i: reason for i, reason in executor.map(one, rows) if reason}


def _threads() -> int:
    return min(len(os.sched_getaffinity(0)), 8)


def _named(images: FileImages, bad: dict[int, Phrase | str]) -> list[Bad]:
    return [(images.name(i), reason) for i, reason in sorted(bad.items())]
