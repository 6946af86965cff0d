"""Sharded sets: `*.tar` files of images with their labels, read where they lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from netwright.core.config import config, setting
from netwright.core.errors import DataError
from netwright.core.languages import Phrase, say
from netwright.data.checking import shortened
from netwright.data.files import FileImages
from netwright.data.listing import Survey, folders, inside
from netwright.data.shards import Label, Sample, expanded, is_pattern, is_shard, samples_of
from netwright.data.sources import SOURCES, Found, Request
from netwright.data.sources.folder import SPLIT_NAMES


@config
class ShardsOptions:
    """What the classes of a sharded set are called."""

    classes: list[str] | None = setting(None, help="names of the classes, from label 0 on")


def _is_sharded(path: Path) -> bool:
    if is_pattern(str(path)) or (path.is_file() and is_shard(str(path))):
        return True
    if not path.is_dir():
        return False
    inner = folders(str(path))
    if not inner:
        return bool(_tars(str(path), str(path)))
    splits = [name for name in inner if name.lower() in SPLIT_NAMES]
    return bool(splits) and all(
        _tars(os.path.join(path, name), str(path)) and not folders(os.path.join(path, name))
        for name in splits
    )


@SOURCES.register("shards", options=ShardsOptions, recognises=_is_sharded, order=30)
def shards(request: Request, options: ShardsOptions) -> Found:
    """Tar files that are read where they lie: a folder of `*.tar`, or a pattern with numbers.

        netwright train shards/                       shards/train-000.tar, shards/val-000.tar
        netwright train "shards-{000..009}.tar"       or shards/train/*.tar, shards/val/*.tar

    Inside a tar an image and its label share a name up to the first dot, as WebDataset writes them:
    `0001.jpg` and `0001.cls` (a number or a word) or `0001.json` (with `label`, `cls` or `class`).
    Without such files the folder inside the tar is the class. Splits are told by folders or by the
    names of the tars. Where each image begins is found once and kept in the cache; nothing is
    unpacked. Raises `DataError` for a tar that is damaged, compressed or holds links, with its
    name.

    When to use it: sets of a million files, which a file system or a network drive is slow to list
    and to open.

    What goes wrong: images are drawn in a new order over all tars in each epoch, which a disk that
    turns, or a store without random access, serves slowly: copy such a set to a fast disk. A
    compressed tar has no places to read from: unpack the compression, JPEG files gain nothing by
    it. Numbers as labels have no names: give them as `data.classes`.
    """
    place = str(request.path.expanduser())
    survey = Survey()
    tars = _by_split(place)
    samples = {
        split: [sample for path in paths for sample in samples_of(path, _name(path, place), survey)]
        for split, paths in tars.items()
    }
    labels = {split: _labels(each, samples, survey) for split, each in samples.items()}
    known = [label for each in labels.values() for label in each if label is not None]
    if not known:
        raise DataError(
            "No image with a label in the {count} tar files of {path}.",
            hint="Expected NAME.jpg with NAME.cls or NAME.json beside it, or CLASS/NAME.jpg.",
            count=sum(map(len, tars.values())),
            path=place,
        )
    classes = _classes(known, options, place)
    numbers = {label: number for number, label in enumerate(classes)}
    parts = {}
    for split, mine in samples.items():
        pairs = [(each.file, label) for each, label in zip(mine, labels[split], strict=True)]
        parts[split] = FileImages(
            files=tuple(file for file, label in pairs if label is not None),
            labels=np.array([numbers[label] for _, label in pairs if label is not None], np.int64),
        )
    return Found(
        name=request.place,
        layout=say("images in {count} tar files", count=sum(map(len, tars.values()))),
        classes=tuple(options.classes or map(str, classes)),
        parts={split: images for split, images in parts.items() if len(images)},
        notes=tuple(survey.notes()),
        quarantined=tuple(survey.bad),
    )


def _by_split(place: str) -> dict[str, list[str]]:
    """The tars of each split; `all` where their names and folders tell none."""
    if is_pattern(place):
        paths = expanded(place)
        for path in paths:
            if not os.path.exists(path):
                raise DataError(
                    "There is no tar {path}.",
                    hint="{pattern} stands for {count} files.",
                    path=path,
                    pattern=place,
                    count=len(paths),
                )
    elif os.path.isfile(place):
        paths = [place]
    else:
        inner = [name for name in folders(place) if name.lower() in SPLIT_NAMES]
        homes = [os.path.join(place, name) for name in inner] or [place]
        paths = [path for home in homes for path in _tars(home, place)]
    found: dict[str, list[str]] = {}
    splits = [_split(path, place) for path in paths]
    for path, split in zip(paths, splits, strict=True):
        found.setdefault(split if all(splits) else "all", []).append(path)
    return found


def _split(path: str, place: str) -> str:
    """The split that the folder or the name of a tar tells, "" for none."""
    home = os.path.dirname(path)
    if os.path.isdir(place) and home != place.rstrip(os.sep):
        return SPLIT_NAMES[os.path.basename(home).lower()]
    words = re.split(r"[^a-z]+", os.path.basename(path).lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")


def _tars(folder: str, root: str) -> list[str]:
    """The tar files of a folder, sorted by the bytes of their names; no link leaves the root."""
    real_root = os.path.realpath(root)
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    except OSError:
        return []
    paths = [os.path.join(folder, each) for each in names if each.lower().endswith(".tar")]
    return [each for each in paths if os.path.isfile(each) and inside(each, real_root)]


def _name(path: str, place: str) -> str:
    return os.path.relpath(path, place) if os.path.isdir(place) else os.path.basename(path)


def _labels(
    samples: Sequence[Sample], everything: dict[str, list[Sample]], survey: Survey
) -> list[Label | None]:
    """The label of each of `samples`, None, entered into `survey`, where there is none."""
    given = any(each.label is not None for split in everything.values() for each in split)
    if given:
        found = [each.label for each in samples]
    else:
        depth = _shared_depth([each for split in everything.values() for each in split])
        found = [each.folders[depth] if len(each.folders) > depth else None for each in samples]
    for sample, label in zip(samples, found, strict=True):
        if label is None:
            survey.bad.append((sample.file.name, Phrase("it has no label")))
    return found


def _shared_depth(samples: Sequence[Sample]) -> int:
    """How many folders all samples share above those that tell them apart."""
    depth = 0
    while len({each.folders[depth : depth + 1] for each in samples}) == 1 and all(
        len(each.folders) > depth + 1 for each in samples
    ):
        depth += 1
    return depth


def _classes(known: Sequence[Label], options: ShardsOptions, place: str) -> list[Label]:
    """The labels in the order of their numbers; whole numbers keep theirs."""
    distinct = set(known)
    if options.classes is None:
        return list(_sorted(distinct))
    names = options.classes
    numbers = [each for each in distinct if isinstance(each, int)]
    strange = [each for each in distinct if isinstance(each, str) and each not in names]
    strange += [str(each) for each in numbers if each >= len(names)]
    if strange or (numbers and len(numbers) < len(distinct)):
        raise DataError(
            'The label "{label}" of {path} is not among the {count} names of data.classes.',
            hint="Expected a name for each number from 0 on, or each label that is a word.",
            label=shortened(str((strange or sorted(map(str, distinct)))[0])),
            path=place,
            count=len(names),
        )
    return list(range(len(names))) if numbers else list(names)


def _sorted(labels: set[Label]) -> Iterator[Label]:
    yield from sorted(each for each in labels if isinstance(each, int))
    yield from sorted((each for each in labels if isinstance(each, str)), key=str.encode)
