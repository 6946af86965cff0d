"""What each augmentation does, taken from arrays of unknown origin: see `evidence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netwright.records.arrays import Array
from netwright.report.evidence import images_in, integers_in
from netwright.report.words import share, short

_MOST = 64


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Two images and the picture made of them; `share` of it is the first."""

    first: int
    second: int
    picture: Array
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One augmentation: images by number, each with its `draws`; or, of one that mixes, what came
    of pairs."""

    name: str
    amount: str
    doc: str
    draws: tuple[tuple[int, tuple[Array, ...]], ...]
    mixed: tuple[Mixed, ...]


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """`images` as they are stored, each (h, w, 3) uint8, their labels, and what is done to them."""

    images: tuple[Array, ...]
    targets: tuple[int, ...]
    shown: tuple[Shown, ...]


def augmented_in(arrays: Mapping[str, Array]) -> Augmented:
    """The pictures in the arrays of `samples/augmentations.npz`; what is not as it should be is
    left out, nothing is raised."""
    images = tuple(images_in(arrays, "images"))
    targets = tuple(integers_in(arrays, "target")[: len(images)])
    columns = [_texts(arrays, name) for name in ("names", "amounts", "docs")]
    shown = [
        Shown(
            name=name,
            amount=amount,
            doc=doc,
            draws=_draws(arrays, number, len(images)),
            mixed=_mixed(arrays, number, len(images)),
        )
        for number, (name, amount, doc) in enumerate(zip(*columns, strict=False))
    ]
    kept = tuple(each for each in shown if each.draws or each.mixed)
    return Augmented(images=images, targets=targets, shown=kept if images else ())


def _texts(arrays: Mapping[str, Array], name: str) -> list[str]:
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype.kind != "U":
        return []
    return [short(each, 300) for each in array[:_MOST]]


def _draws(
    arrays: Mapping[str, Array], number: int, images: int
) -> tuple[tuple[int, tuple[Array, ...]], ...]:
    """The number of an image and its draws, for each image that has some."""
    found: dict[int, list[Array]] = {}
    for of, picture in zip(
        integers_in(arrays, f"of-{number}"), images_in(arrays, f"draws-{number}"), strict=False
    ):
        if 0 <= of < images:
            found.setdefault(of, []).append(picture)
    return tuple((of, tuple(pictures)) for of, pictures in found.items())


def _mixed(arrays: Mapping[str, Array], number: int, images: int) -> tuple[Mixed, ...]:
    shares = arrays.get(f"share-{number}")
    if shares is None or shares.ndim != 1 or shares.dtype.kind != "f":
        return ()
    rows = zip(
        integers_in(arrays, f"first-{number}"),
        integers_in(arrays, f"second-{number}"),
        images_in(arrays, f"draws-{number}"),
        np.asarray(shares, dtype=np.float64).tolist(),
        strict=False,
    )
    return tuple(
        Mixed(first=first, second=second, picture=picture, share=share(part))
        for first, second, picture, part in rows
        if 0 <= first < images and 0 <= second < images
    )
