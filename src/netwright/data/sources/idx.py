"""idx files: MNIST and its relatives, plain, .gz or .xz.

Pairs are told by their names, `PREFIX-images-idx3-ubyte` and `PREFIX-labels-idx1-ubyte`; the
format itself is in `netwright.data.idx_format`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import torch

from netwright.core.config import config, setting
from netwright.core.errors import DataError
from netwright.core.events import Noted
from netwright.core.languages import say
from netwright.data.dataset import Int64Array, MemoryImages
from netwright.data.idx_format import read_idx
from netwright.data.sources import SOURCES, Found, Request

_NAME = re.compile(
    r"(?P<prefix>.*?)[-._]?(?P<kind>images|labels)[-._]idx\d[-._]ubyte(\.gz|\.xz)?", re.IGNORECASE
)
_SPLITS = (("train", "train"), ("t10k", "test"), ("test", "test"), ("val", "val"))


@config
class IdxOptions:
    """Which files of a folder to read, and what its classes are called."""

    prefix: str | None = setting(
        None, help="what the file names begin with, where a folder holds several sets"
    )
    classes: list[str] | None = setting(None, help="names of the classes, from label 0 on")


def _is_idx(path: Path) -> bool:
    return bool(_pairs(path))


@SOURCES.register("idx", options=IdxOptions, recognises=_is_idx, order=20)
def idx(request: Request, options: IdxOptions) -> Found:
    """MNIST's layout: files of images and of labels in a folder, or one file of a pair.

        train-images-idx3-ubyte    train-labels-idx1-ubyte
        t10k-images-idx3-ubyte     t10k-labels-idx1-ubyte     plain, .gz or .xz

    The images file is a header and then bytes (N, H, W), the labels file a header and then bytes
    (N,). Raises `DataError` for a file that is truncated, too large or not what its header says,
    and for images and labels that do not match in number.

    When to use it: sets that are handed out in MNIST's form and have no name here.

    What goes wrong: the files carry no class names: give them as `data.classes`, else classes are
    numbers. Some sets (EMNIST) are stored column by column and come out lying on their side: look
    at the first batch in the report.
    """
    path = request.path.expanduser()
    pairs = _one_set(_pairs(path), options.prefix, request.place)
    splits: dict[str, MemoryImages] = {}
    notes = []
    for prefix, files in pairs.items():
        split = _split(prefix) if len(pairs) > 1 or _split(prefix) == "train" else "all"
        splits[split] = _read_pair(prefix, files, request.place)
        if split != "all":
            notes.append(
                Noted(
                    word="NOTE",
                    template="{file} is taken as the {split} split.",
                    values={"file": files["images"].name, "split": split},
                )
            )
    classes, numbers = _classes(splits, options.classes, request.place)
    return Found(
        name=request.place,
        layout=say("idx files"),
        classes=classes,
        parts={split: images.relabelled(numbers) for split, images in splits.items()},
        notes=tuple(notes),
    )


def _pairs(path: Path) -> dict[str, dict[str, Path]]:
    """Files by prefix and kind; a single file finds its pair beside it."""
    wanted = _NAME.fullmatch(path.name) if path.is_file() else None
    if not path.is_dir() and wanted is None:
        return {}
    found: dict[str, dict[str, Path]] = {}
    folder = path if path.is_dir() else path.parent
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    except OSError:  # another layout will say what is wrong with it
        return {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match and (wanted is None or match["prefix"] == wanted["prefix"]):
            found.setdefault(match["prefix"], {}).setdefault(match["kind"].lower(), folder / name)
    return found


def _one_set(
    pairs: dict[str, dict[str, Path]], prefix: str | None, place: str
) -> dict[str, dict[str, Path]]:
    """The pairs of one set, at most one for each split."""
    chosen = {name: files for name, files in pairs.items() if name.startswith(prefix or "")}
    splits = [_split(name) for name in chosen]
    if not chosen or len(set(splits)) < len(splits):
        raise DataError(
            "{place} holds several sets of idx files or none that begins so: {prefixes}.",
            hint="Choose with data.prefix=...",
            place=place,
            prefixes=", ".join(pairs),
        )
    for name, files in chosen.items():
        for kind in ("images", "labels"):
            if kind not in files:
                raise DataError(
                    "{file} has no file of {kind} beside it.",
                    hint="Expected {prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte, "
                    "plain, .gz or .xz.",
                    file=next(iter(files.values())).name,
                    kind=kind,
                    prefix=name,
                )
    return chosen


def _split(prefix: str) -> str:
    return next((split for word, split in _SPLITS if word in prefix.lower()), "all")


def _read_pair(prefix: str, files: dict[str, Path], place: str) -> MemoryImages:
    images = read_idx(files["images"], dimensions=3)
    labels = read_idx(files["labels"], dimensions=1)
    if len(images) != len(labels) or not len(images):
        raise DataError(
            "{images_file} holds {images} images, {labels_file} {labels} labels.",
            hint="Expected as many of one as of the other, and at least one.",
            images_file=files["images"].name,
            images=len(images),
            labels_file=files["labels"].name,
            labels=len(labels),
        )
    name = (prefix or "image") + "-{:05d}"
    return MemoryImages(
        torch.from_numpy(images).unsqueeze(1), labels.astype(np.int64), names=name.format
    )


def _classes(
    splits: dict[str, MemoryImages], names: list[str] | None, place: str
) -> tuple[tuple[str, ...], Int64Array]:
    """Class names, and for each label its place among them.

    Without names the classes are the labels that occur: EMNIST's letters begin at 1.
    """
    present = sorted({label for images in splits.values() for label in images.labels.tolist()})
    if names is None:
        numbers = np.full(present[-1] + 1, -1, np.int64)
        numbers[present] = np.arange(len(present))
        return tuple(str(label) for label in present), numbers
    if len(names) <= present[-1]:
        raise DataError(
            "{name} has labels up to {highest}, but data.classes names {named} classes.",
            hint="Expected one name for each label from 0 on.",
            name=place,
            highest=present[-1],
            named=len(names),
        )
    return tuple(names), np.arange(len(names))
