"""Data made by the user's own code: `file.py:factory` or `package.module:factory`.

The factory is called with those of `size`, `seed`, `val_share` and the `data.*`
settings that its signature names. It returns train and validation, and test if it likes, as a
tuple or as a mapping with these names; `classes` in the mapping, or as an attribute, names the
classes. Each split is a map-style data set of (image, label), or a pair of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.core.errors import DataError
from netwright.core.factories import call_factory, find_factory, is_factory
from netwright.core.languages import say
from netwright.data.foreign import split_of
from netwright.data.sources import SOURCES, Found, Request

_SPLITS = ("train", "val", "test")
_MANY = 10_000
"""More classes than images are no data to train on, up to so many fine ones to evaluate."""


def _is_factory(path: Path) -> bool:
    return is_factory(str(path)) and not path.exists()


@SOURCES.register("factory", recognises=_is_factory, order=10)
def factory(request: Request, options: Mapping[str, Any]) -> Found:
    """The user's own function, `file.py:factory` or `package.module:factory`.

    It is called with those of `size`, `seed`, `val_share` and the `data.*` settings that its
    signature names, and returns (train, val), (train, val, test), or a mapping with these names
    and, if it likes, `classes`. A split is a map-style data set of (image, label), or a pair of
    tensors, images (N, C, H, W) and labels (N,) counted from 0. Raises `SettingError` for a
    function that is not there or does not take a setting, and `DataError` for a result that does
    not fit, each saying what was expected.

    When to use it: formats that are not read here, data made by a program, labels that come from
    somewhere else.

    What goes wrong: the code runs in this process, so only your own. A function that draws without
    using `seed` makes another data set each time, and a run that was stopped cannot go on exactly.
    Images that are already normalised are normalised once more, which does no harm; augmentation
    inside the function is not keyed and differs with the number of workers.
    """
    offered = {"seed": request.seed, "val_share": request.val_share}
    if request.size is not None:
        offered["size"] = request.size
    made = call_factory(find_factory(request.place), offered, wanted=options)
    given, classes = _unpacked(made, request.place)
    parts = {
        split: split_of(each, split, request.place, cache=request.cache)
        for split, each in given.items()
    }
    count = 1 + max(int(images.labels.max()) for images in parts.values())
    total = sum(map(len, parts.values()))
    if count > max(total, _MANY):
        raise DataError(
            "{place} has a label {highest}, but only {images} images.",
            hint="Expected labels counted from 0 to the number of classes less one.",
            place=request.place,
            highest=count - 1,
            images=total,
        )
    if classes is None:
        classes = [str(number) for number in range(count)]
    elif len(classes) < count:
        raise DataError(
            "{place} names {named} classes, but its labels go up to {highest}.",
            hint="Expected labels counted from 0 to the number of classes less one.",
            place=request.place,
            named=len(classes),
            highest=count - 1,
        )
    return Found(
        name=request.place,
        layout=say("made by {place}", place=request.place),
        classes=tuple(map(str, classes)),
        parts=parts,
    )


def _is_array(value: Any) -> bool:
    """A split is never a bare array: (images, labels) alone lacks a validation split."""
    return hasattr(value, "dtype")


def _unpacked(made: Any, place: str) -> tuple[dict[str, Any], Sequence[Any] | None]:
    """The splits by name, and the names of the classes if the factory gives them."""
    if isinstance(made, Mapping):
        given = {split: made[split] for split in _SPLITS if made.get(split) is not None}
        classes = made.get("classes")
    elif isinstance(made, tuple | list) and len(made) in (2, 3) and not _is_array(made[0]):
        given = dict(zip(_SPLITS, made, strict=False))
        classes = None
    else:
        given, classes = {}, None
    if "train" not in given or "val" not in given:
        kind = type(made).__name__
        if isinstance(made, tuple | list):
            kind += f" of {len(made)}"
        raise DataError(
            "{place} returned {kind}.",
            hint="Expected (train, val), (train, val, test), or a mapping with these names and, "
            "if you like, classes; each split a map-style data set of (image, label) or a pair "
            "of tensors.",
            place=place,
            kind=kind,
        )
    if classes is None:
        classes = getattr(given["train"], "classes", None)
    return given, classes
