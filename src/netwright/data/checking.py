"""Checks on a whole set before anything is trained: finite pixels, labels that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from netwright.core.errors import DataError
from netwright.data.dataset import Images, MemoryImages, class_counts

_CHUNK = 1024
_LONGEST = 200


def shortened(name: str) -> str:
    """A name fit for a message: cut after 200 characters."""
    return name if len(name) <= _LONGEST else name[:_LONGEST] + "..."


def check_finite(parts: Mapping[str, Images]) -> None:
    """`DataError` with split, index and name of the first image that holds NaN or infinity."""
    for split, images in parts.items():
        if not isinstance(images, MemoryImages) or not images.pool.is_floating_point():
            continue
        for first in range(0, len(images), _CHUNK):
            rows = torch.from_numpy(images.rows[first : first + _CHUNK])
            finite = images.pool.index_select(0, rows).isfinite().flatten(1).all(1)
            if not bool(finite.all()):
                index = first + int((~finite).nonzero()[0])
                raise not_finite(split, index, images.name(index))


def not_finite(split: str, index: int, name: str) -> DataError:
    """The error for an image that holds NaN or infinity."""
    return DataError(
        "Image {index} of the {split} split ({name}) holds NaN or infinity.",
        hint="Remove or mend it; a network that sees it once is lost.",
        index=index,
        split=split,
        name=name,
    )


def check_labels(name: str, parts: Mapping[str, Images], classes: Sequence[str]) -> None:
    """Every class has training images, and there are at least two classes.

    Raises `DataError` with the class for one that is empty or occurs outside training only.
    """
    counts = {split: class_counts(images, len(classes)) for split, images in parts.items()}
    for number, label in enumerate(classes):
        if counts["train"][number]:
            continue
        others = [split for split, each in counts.items() if each[number]]
        if others:
            raise DataError(
                'Class "{label}" of {name} occurs in {splits} but not in training.',
                hint="The network cannot learn it: add training images, or take it out.",
                label=shortened(label),
                name=name,
                splits=", ".join(others),
            )
        raise DataError(
            'Class "{label}" of {name} is empty.',
            hint="Add images of it, or remove the class.",
            label=shortened(label),
            name=name,
        )
    if len(classes) < 2:
        raise DataError(
            "{name} has one class only: {classes}.",
            hint="Expected at least two classes to tell apart.",
            name=name,
            classes=", ".join(map(shortened, classes)),
        )
