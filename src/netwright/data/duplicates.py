"""Duplicates: images that are in a set twice, and worse, in two of its splits.

An image of the test split that was trained on is no test (leakage), and one that stands under two
labels cannot be learnt. Equal means equal pixels as the network gets them, however the file stores
them. Of streamed images with more than `DECODED` bytes of pixels only the files are compared, and
that is said. Pictures that were compressed again, cropped or scaled are not found.

Cost: one hash of each image, linear in bytes. On one core of the test machine the 70,000 images
of MNIST take 0.14 s and 60,000 of the size of CIFAR's 0.21 s; streamed images are decoded once
more. Where files are compared, only those are read that have the size of another one. Above `LIMIT`
bytes nothing is looked for, and that is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.core.cache import amount
from netwright.core.events import Noted
from netwright.core.languages import Phrase, Series
from netwright.data.dataset import Dataset, Images, Int64Array, MemoryImages
from netwright.data.files import FileImages, each_decoded
from netwright.data.reading import Part, Place, bytes_at

LIMIT = 2_000_000_000
DECODED = 1 << 30
"""What `data.cache=auto` would hold in memory at most: as dear to decode as to open such a set."""
_SPLITS = ("train", "val", "test", "all")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What was found. `leaks` has for two splits the pairs (name in the first, name in the
    second), `repeats` for a split the pairs of a first image and one more like it, `contradicted`
    the pairs among both that stand under two labels. `skipped` says why nothing was looked for,
    `files_only` that pixels were not decoded for it."""

    leaks: Mapping[tuple[str, str], tuple[tuple[str, str], ...]]
    repeats: Mapping[str, tuple[tuple[str, str], ...]]
    contradicted: tuple[tuple[str, str], ...]
    skipped: Phrase | None = None
    files_only: bool = False

    def notes(self) -> tuple[Noted, ...]:
        """What a user should know before training, each with its first examples."""
        notes = [_leak(pair, twins) for pair, twins in self.leaks.items()]
        if self.contradicted:
            template = "{count} images have a twin with the same pixels and another label: {first}."
            notes.append(_noted("WARN", template, self.contradicted))
        for split, twins in self.repeats.items():
            template = "{count} images of the {split} split are there already: {first}."
            notes.append(_noted("NOTE", template, twins, split=split))
        if self.skipped is not None:
            template = "Duplicates and leakage between splits were not looked for: {reason}."
            notes.append(Noted(word="NOTE", template=template, values={"reason": self.skipped}))
        if self.files_only:
            template = (
                "The images are streamed, so that files were compared and not pixels: a picture "
                "saved twice in other ways is not found. data.cache=memory compares pixels."
            )
            notes.append(Noted(word="NOTE", template=template))
        return tuple(notes)


def find_duplicates(
    splits: Mapping[str, Images], *, limit: int = LIMIT, decoded: int = DECODED
) -> Duplicates:
    """Look through all splits once; streamed images of up to `decoded` bytes are decoded for it.

    A sample of hashes would find almost nothing (a pair is in a tenth of a set with chance
    1/100), so above `limit` bytes nothing is looked for.
    """
    ordered = {split: splits[split] for split in _SPLITS if split in splits}
    streamed = [images for images in ordered.values() if isinstance(images, FileImages)]
    files_only = sum(len(images) * math.prod(images.shape) for images in streamed) > decoded
    rows, size = _candidates(ordered, files_only=files_only)
    if size is None or size > limit:
        reason = (
            Phrase("they are read by code of your own")
            if size is None
            else Phrase("{size} would have to be read", size=amount(size))
        )
        return Duplicates(leaks={}, repeats={}, contradicted=(), skipped=reason)
    first_in: dict[bytes, dict[str, int]] = defaultdict(dict)  # hash: split: row of the first
    leaks: dict[tuple[str, str], list[tuple[str, str]]] = {}
    repeats: dict[str, list[tuple[str, str]]] = {}
    contradicted: list[tuple[str, str]] = []
    for split, images in ordered.items():
        for row, digest in _digests(images, rows[split], files_only=files_only):
            seen = first_in[digest]
            for other, first in seen.items():
                pair = (ordered[other].name(first), images.name(row))
                if other == split:
                    repeats.setdefault(split, []).append(pair)
                else:
                    leaks.setdefault((other, split), []).append(pair)
                if ordered[other].labels[first] != images.labels[row]:
                    contradicted.append(pair)
            seen.setdefault(split, row)
    return Duplicates(
        leaks={pair: tuple(twins) for pair, twins in leaks.items()},
        repeats={split: tuple(twins) for split, twins in repeats.items()},
        contradicted=tuple(dict.fromkeys(contradicted)),
        files_only=files_only,
    )


def with_duplicates_noted(dataset: Dataset, *, limit: int = LIMIT) -> Dataset:
    """`dataset` with what was found among its notes."""
    found = find_duplicates(dataset.splits, limit=limit)
    return dataclasses.replace(dataset, notes=(*dataset.notes, *found.notes()))


def _candidates(
    splits: Mapping[str, Images], *, files_only: bool
) -> tuple[dict[str, Int64Array], int | None]:
    """The rows of each split that can have a twin at all, and how many bytes they are; None for
    images whose bytes nobody knows."""
    sizes: dict[str, npt.NDArray[np.int64]] = {}
    total = 0
    rows: dict[str, Int64Array] = {}
    for split, images in splits.items():
        if isinstance(images, MemoryImages):
            rows[split] = np.arange(len(images))
            total += len(images) * images.pool[:1].nbytes
        elif isinstance(images, FileImages) and not files_only:
            rows[split] = np.arange(len(images))
            total += len(images) * math.prod(images.shape)
        elif isinstance(images, FileImages):
            sizes[split] = np.array([_size(file.path) for file in images.files], np.int64)
        else:
            return {}, None
    if sizes:
        values, counts = np.unique(np.concatenate(list(sizes.values())), return_counts=True)
        shared = values[(counts > 1) & (values > 0)]
        for split, each in sizes.items():
            rows[split] = np.flatnonzero(np.isin(each, shared))
            total += int(each[rows[split]].sum())
    return rows, total


def _digests(images: Images, rows: Int64Array, *, files_only: bool) -> Iterator[tuple[int, bytes]]:
    if isinstance(images, MemoryImages):
        pool = images.pool.numpy()
        for row in rows.tolist():
            yield row, _digest(pool[images.rows[row]])
    elif isinstance(images, FileImages) and not files_only:
        for row, pixels in each_decoded(images, rows.tolist()):
            yield row, _digest(pixels.numpy())
    elif isinstance(images, FileImages):
        for row in rows.tolist():
            with contextlib.suppress(OSError):  # a file that has gone is told of when it is read
                digest = hashlib.blake2b(digest_size=16)
                with bytes_at(images.files[row].path) as file:
                    while chunk := file.read(1 << 20):
                        digest.update(chunk)
                yield row, digest.digest()


def _digest(pixels: npt.NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def _size(place: Place) -> int:
    if isinstance(place, Part):
        return place.length
    try:
        return os.stat(place).st_size
    except OSError:
        return 0


def _leak(pair: tuple[str, str], twins: Sequence[tuple[str, str]]) -> Noted:
    template = "Leakage: {count} images of the {later} split are in {earlier} too: {first}."
    return _noted("WARN", template, twins, earlier=pair[0], later=pair[1])


def _noted(word: str, template: str, twins: Sequence[tuple[str, str]], **values: Any) -> Noted:
    first = [Phrase("{one} = {other}", one=one, other=other) for one, other in twins[:_SHOWN]]
    shown = Series([*first, *(["..."] if len(twins) > _SHOWN else [])], between="; ")
    return Noted(
        word=word, template=template, values={"count": len(twins), "first": shown, **values}
    )
