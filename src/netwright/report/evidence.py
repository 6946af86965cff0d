"""What was measured on one split, taken from arrays of unknown origin.

An array that is not of the kind it should be counts as missing; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netwright.records.arrays import Array
from netwright.report.words import number, share, short

# A larger matrix is neither readable nor small.
MOST_CLASSES = 2000

_MOST_PICTURES = 36
_LONGEST_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One image that the network got wrong: (h, w, 3) uint8 and what was said about it."""

    image: Array
    target: int
    pred: int
    probability: float | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured on one split with the best weights."""

    split: str
    confusion: Array | None  # (C, C) counts, rows true, columns predicted
    accuracy: float | None
    worst: tuple[Mistake, ...]
    pairs: tuple[Mistake, ...]

    @property
    def count(self) -> int:
        """Images measured."""
        return 0 if self.confusion is None else int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return 0 if self.confusion is None else int(np.trace(self.confusion))

    @property
    def majority(self) -> float | None:
        """The share of the most frequent class: what saying it always would get."""
        if self.confusion is None or not self.count:
            return None
        return float(self.confusion.sum(axis=1).max() / self.count)


def evidence_in(arrays: Mapping[str, Array], split: str) -> Evidence:
    """The evidence in the arrays of one `.npz` file."""
    confusion = _confusion(arrays.get("confusion"))
    accuracy = share(_scalar(arrays.get("acc1")))
    if accuracy is None and confusion is not None and confusion.any():
        accuracy = float(np.trace(confusion) / confusion.sum())
    return Evidence(
        split=split,
        confusion=confusion,
        accuracy=accuracy,
        worst=_mistakes(arrays, "worst_images", "worst_target", "worst_pred"),
        pairs=_mistakes(arrays, "pair_images", "pair_true", "pair_pred"),
    )


def images_in(arrays: Mapping[str, Array], name: str) -> Array:
    """(N, h, w, 3) uint8; no picture at all when the array of that name is anything else."""
    array = arrays.get(name)
    nothing = np.zeros((0, 1, 1, 3), dtype=np.uint8)
    if array is None or array.ndim != 4 or array.dtype != np.uint8:
        return nothing
    if array.shape[-1] not in (1, 3) or not all(
        0 < side <= _LONGEST_SIDE for side in array.shape[1:3]
    ):
        return nothing
    return np.broadcast_to(array[:_MOST_PICTURES], (*array[:_MOST_PICTURES].shape[:3], 3))


def integers_in(arrays: Mapping[str, Array], name: str) -> list[int]:
    """The integers of that name, none when the array is anything else."""
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype.kind not in "iu":
        return []
    return [int(each) for each in array[:_MOST_PICTURES]]


def _confusion(array: Array | None) -> Array | None:
    """(C, C) counts, or None when it is not that."""
    if array is None or array.ndim != 2 or array.dtype.kind not in "iu":
        return None
    rows, columns = array.shape
    if rows != columns or not 0 < rows <= MOST_CLASSES or array.min() < 0:
        return None
    # More than 2**31 images in one cell is nothing anyone measured, and their sum could overflow.
    return array.astype(np.int64) if array.max() < 2**31 else None


def _scalar(array: Array | None) -> float | None:
    if array is None or array.size != 1 or array.dtype.kind not in "fiu":
        return None
    return number(array.reshape(()).item())


def _mistakes(
    arrays: Mapping[str, Array], images: str, target: str, pred: str
) -> tuple[Mistake, ...]:
    """The mistakes of which picture, label and prediction are all there."""
    rows = zip(
        images_in(arrays, images),
        integers_in(arrays, target),
        integers_in(arrays, pred),
        strict=False,
    )
    kind = images.partition("_")[0]
    chances = _column(arrays.get(f"{kind}_probability"), "f")
    names = _column(arrays.get(f"{kind}_name"), "U")
    return tuple(
        Mistake(
            image=image,
            target=true,
            pred=said,
            probability=share(float(chances[i])) if i < len(chances) else None,
            name=short(names[i], 200) if i < len(names) else "",
        )
        for i, (image, true, said) in enumerate(rows)
    )


def _column(array: Array | None, kind: str) -> Array:
    """A column of numbers ("f") or text ("U"); empty when the array is anything else."""
    if array is None or array.ndim != 1 or array.dtype.kind != kind:
        return np.empty(0)
    return array[:_MOST_PICTURES]
