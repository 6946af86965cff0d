"""Published sets: their files from a folder of the user's, or fetched into the cache.

What a leaf knows is a table: which files, where they lie, how large they are, their sha256. This
is the machinery the tables share. No file is looked for anywhere else, and nothing is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from netwright.core.archives import is_archive, unpacked
from netwright.core.cache import cache_home
from netwright.core.downloads import Resource, fetch
from netwright.core.errors import DataError
from netwright.core.languages import say
from netwright.data.cifar_format import read_batch
from netwright.data.dataset import MemoryImages
from netwright.data.idx_format import read_idx
from netwright.data.sources import Found, Request

_PACKED = ("", ".gz", ".xz")


def listed(places: Sequence[str], *rows: tuple[str, int, str]) -> tuple[Resource, ...]:
    """Resources from a table: each row a name, a size and a sha256; `places` hold them all."""
    return tuple(
        Resource(name=name, addresses=tuple(p + name for p in places), size=size, sha256=sha256)
        for name, size, sha256 in rows
    )


def idx_set(
    request: Request,
    *,
    name: str,
    path: str | None,
    resources: Sequence[Resource],
    classes: Sequence[str],
    attribution: str,
    prefixes: tuple[str, str] = ("train", "t10k"),
    first_label: int = 0,
    transposed: bool = False,
) -> Found:
    """A set of four idx files, `PREFIX-images-idx3-ubyte` and `PREFIX-labels-idx1-ubyte` for
    training and test, plain, .gz or .xz.

    `transposed` images are stored column by column and put right; labels count from
    `first_label`. Raises `DataError` for files that are missing, damaged or of another set.
    """
    stems = [f"{p}-{k}" for p in prefixes for k in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if path is not None:
        folder = _given(path, only=prefixes[0].removesuffix("train"))
        files = _idx_files(folder, name, stems)
    elif len(resources) == 1:  # one archive with these files in it
        archive = _fetched(request, name, resources)[0]
        only = prefixes[0].removesuffix("train")
        folder = unpacked(archive, only=only, sha256=resources[0].sha256)
        files = _idx_files(folder, name, stems)
    else:
        files = _fetched(request, name, resources)
    splits = {}
    for split, prefix, at in (("train", prefixes[0], 0), ("test", prefixes[1], 2)):
        images = read_idx(files[at], dimensions=3)
        labels = read_idx(files[at + 1], dimensions=1).astype(np.int64) - first_label
        if transposed:
            images = images.transpose(0, 2, 1)
        if images.shape[1:] != (28, 28) or len(images) != len(labels) or not len(images):
            raise DataError(
                "{file} holds {images} images of {height}x{width} and {labels} labels.",
                hint="Expected {name}: images of 28x28, one label for each.",
                file=str(files[at]),
                images=len(images),
                height=images.shape[1],
                width=images.shape[2],
                labels=len(labels),
                name=name,
            )
        _check_labels(files[at + 1], labels.min(), labels.max(), name, len(classes))
        pool = torch.from_numpy(np.ascontiguousarray(images)).unsqueeze(1)
        splits[split] = MemoryImages(pool, labels, names=(prefix + "-{:05d}").format)
    return Found(
        name=name,
        layout=_layout(name, path),
        classes=tuple(classes),
        parts=splits,
        attribution=attribution,
    )


def cifar_set(
    request: Request,
    *,
    name: str,
    path: str | None,
    resource: Resource,
    forms: Sequence[tuple[Sequence[str], str]],
    label: str,
    labels: Sequence[str],
    classes: Sequence[str],
    attribution: str,
) -> Found:
    """A set in one of CIFAR's two forms: each of `forms` is the training files and the test file.

    `path` is the folder that holds them, one above it, or the archive as published.
    """
    if path is None:
        root = unpacked(_fetched(request, name, [resource])[0], sha256=resource.sha256)
    else:
        root = _given(path)
    folders = [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    for folder in folders:
        for training, test in forms:
            if all((folder / file).is_file() for file in (*training, test)):
                splits = {
                    split: _cifar_split(folder, split, files, name, label, labels, len(classes))
                    for split, files in (("train", training), ("test", [test]))
                }
                return Found(
                    name=name,
                    layout=_layout(name, path),
                    classes=tuple(classes),
                    parts=splits,
                    attribution=attribution,
                )
    raise _missing(root, name, [*forms[0][0], forms[0][1]])


def _cifar_split(
    folder: Path,
    split: str,
    files: Sequence[str],
    name: str,
    label: str,
    labels: Sequence[str],
    num_classes: int,
) -> MemoryImages:
    batches = [read_batch(folder / file, label=label, labels=labels) for file in files]
    numbers = np.concatenate([numbers for _, numbers in batches])
    if not len(numbers):
        raise _missing(folder, name, files)
    _check_labels(folder / files[0], numbers.min(), numbers.max(), name, num_classes)
    pool = torch.from_numpy(np.concatenate([images for images, _ in batches]))
    return MemoryImages(pool, numbers, names=(split + "-{:05d}").format)


def _fetched(request: Request, name: str, resources: Sequence[Resource]) -> list[Path]:
    folder = cache_home() / "data" / name
    return [
        fetch(each, folder=folder, announce=request.announce, progress=request.progress)
        for each in resources
    ]


def _given(path: str, *, only: str = "") -> Path:
    """The folder the user names, or the one that the archive they name is unpacked to."""
    place = Path(path).expanduser()
    if is_archive(place):
        return unpacked(place, only=only)
    if not place.is_dir():
        raise DataError(
            "data.path: there is no folder {path}.",
            hint="Expected the folder that holds the files of the set, or their archive.",
            path=path,
        )
    return place


def _idx_files(folder: Path, name: str, stems: Sequence[str]) -> list[Path]:
    """The file of each stem, in the folder or in the first one below it that has them all."""
    below = sorted(p for p in folder.glob("*") if p.is_dir())
    for place in (folder, *below, *sorted(p for p in folder.glob("*/*") if p.is_dir())):
        found = [_one_of(place, stem) for stem in stems]
        files = [path for path in found if path is not None]
        if len(files) == len(stems):
            return files
    raise _missing(folder, name, stems)


def _one_of(folder: Path, stem: str) -> Path | None:
    dotted = stem.replace("-idx", ".idx")  # as some programs unpack them
    names = [each + packing for each in (stem, dotted) for packing in _PACKED]
    return next((folder / each for each in names if (folder / each).is_file()), None)


def _check_labels(path: Path, lowest: int, highest: int, name: str, num_classes: int) -> None:
    if lowest < 0 or highest >= num_classes:
        raise DataError(
            "{file} has labels from {lowest} to {highest}: it is not of {name}.",
            hint="Expected {count} classes, counted from 0.",
            file=str(path),
            lowest=int(lowest),
            highest=int(highest),
            name=name,
            count=num_classes,
        )


def _missing(folder: Path, name: str, files: Sequence[str]) -> DataError:
    return DataError(
        "{path} does not hold the files of {name}.",
        hint="Expected {files}. Without data.path they are downloaded.",
        path=str(folder),
        name=name,
        files=", ".join(files),
    )


def _layout(name: str, path: str | None) -> str:
    if path is None:
        return say("{name} as published, from the cache", name=name)
    return say("{name} as published, from {path}", name=name, path=path)
