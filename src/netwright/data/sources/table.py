"""A table of paths and labels: CSV (any usual delimiter) or JSONL, with a split column or not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from netwright.core.config import config, setting
from netwright.core.errors import DataError, SettingError
from netwright.core.events import Noted
from netwright.core.languages import Phrase, say
from netwright.data.checking import shortened
from netwright.data.files import FileImages, Listed
from netwright.data.listing import Survey, inside, with_headers
from netwright.data.sources import SOURCES, Found, Request
from netwright.data.sources.folder import SPLIT_NAMES
from netwright.data.table_format import Table, guess_columns, read_table

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


@config
class TableOptions:
    """What cannot be guessed about a table, or was guessed wrongly."""

    path_column: str | None = setting(None, help="column of the paths; none: guessed")
    label_column: str | None = setting(None, help="column of the labels; none: guessed")
    split_column: str | None = setting(None, help="column of the splits; none: guessed")
    delimiter: str | None = setting(None, help="what stands between columns; none: guessed")
    root: str | None = setting(None, help="folder the paths start from; none: the table's own")


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.exists() and not path.is_dir()


@SOURCES.register("table", options=TableOptions, recognises=_is_table, order=30)
def table(request: Request, options: TableOptions) -> Found:
    """A .csv, .tsv, .jsonl or .ndjson file with one row for each image: its path, its label.

        path,label,split                    {"path": "photos/1.jpg", "label": "daisy"}
        photos/1.jpg,daisy,train     or     {"path": "photos/2.jpg", "label": "rose"}

    Columns, delimiter and splits are guessed, and the guess is said. Labels are names; whole
    numbers keep their order. A path may not leave the folder of the table unless `data.root` names
    a folder that holds it. Raises `DataError` with the line of the first row that does not fit, and
    both where two contradict each other.

    When to use it: images that lie in one heap, labels from a database, splits that were made with
    care (a split column keeps them).

    What goes wrong: a number with a fraction as label is refused: this is classification. Where two
    columns could be the label the guess may be the wrong one: read the note, or set
    `data.label_column`. A table without a split column is split at random, which puts near twins on
    both sides.
    """
    path = request.path.expanduser()
    read = read_table(path, delimiter=options.delimiter)
    paths_in, labels_in, split_in = guess_columns(
        read,
        path,
        path_column=options.path_column,
        label_column=options.label_column,
        split_column=options.split_column,
    )
    labels = [each.strip() for each in read.column(labels_in)]
    splits = _splits(read, split_in, path)
    classes = _classes(read, labels, path)
    root = _root(options, path)
    numbers = {label: number for number, label in enumerate(classes)}
    names = read.column(paths_in)
    rows = _distinct(read, names, labels, splits, path, root)
    survey = Survey()
    listed = _listed([names[row] for row in rows], root, survey)
    parts = {}
    for split in dict.fromkeys(splits):
        mine = [i for i, row in enumerate(rows) if splits[row] == split and listed[i] is not None]
        parts[split] = FileImages(
            files=tuple(file for i in mine if (file := listed[i]) is not None),
            labels=np.array([numbers[labels[rows[i]]] for i in mine], np.int64),
        )
    if not any(map(len, parts.values())):
        raise DataError(
            "None of the {count} images that {path} names can be read; the first is {name} "
            "({reason}).",
            hint="Paths start from {root}; another folder: data.root=...",
            count=len(rows),
            path=str(path),
            name=survey.bad[0][0],
            reason=survey.bad[0][1],
            root=root,
        )
    guessed = Noted(
        word="NOTE",
        template="Columns of {path}: {paths} is the path, {labels} the label, {split} the split.",
        values={
            "path": path.name,
            "paths": paths_in,
            "labels": labels_in,
            "split": split_in or "-",
        },
    )
    notes = [guessed]
    if len(rows) < len(names):
        template = "{count} rows repeat an earlier one, label and split alike: they are left out."
        values = {"count": len(names) - len(rows)}
        notes.append(Noted(word="NOTE", template=template, values=values))
    return Found(
        name=request.place,
        layout=say("a table of paths and labels"),
        classes=tuple(classes),
        parts={split: images for split, images in parts.items() if len(images)},
        notes=(*notes, *survey.notes()),
        quarantined=tuple(survey.bad),
    )


def _root(options: TableOptions, path: Path) -> str:
    if options.root is None:
        return str(path.parent)
    root = Path(options.root).expanduser()
    if not root.is_dir():
        raise SettingError(
            "data.root={root} is no folder.",
            hint="Expected the folder that the paths of {path} start from.",
            root=options.root,
            path=path.name,
        )
    return str(root)


def _splits(read: Table, column: str | None, path: Path) -> list[str]:
    if column is None:
        return ["all"] * len(read.rows)
    found = []
    for number, value in enumerate(read.column(column)):
        split = SPLIT_NAMES.get(value.strip().lower())
        if split is None:
            reason = Phrase('"{value}" is no split: train, val or test', value=shortened(value))
            raise _row(read, path, number, reason)
        found.append(split)
    return found


def _classes(read: Table, labels: list[str], path: Path) -> list[str]:
    """The class names in order: whole numbers by size, names as text."""
    for number, label in enumerate(labels):
        if not label:
            raise _row(read, path, number, Phrase("it has no label"))
    distinct = set(labels)
    if all(each.lstrip("-").isdecimal() for each in distinct):
        return sorted(distinct, key=lambda each: (int(each), each))
    numbers = [_number(each) for each in distinct]
    if all(each is not None for each in numbers):
        odd = next(i for i, each in enumerate(labels) if not each.lstrip("-").isdecimal())
        reason = Phrase('the label "{label}" is a number that is not whole', label=labels[odd])
        raise _row(read, path, odd, reason)
    return sorted(distinct, key=os.fsencode)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _distinct(
    read: Table, paths: list[str], labels: list[str], splits: list[str], path: Path, root: str
) -> list[int]:
    """The rows, each file once; two labels or two splits for one file is an error."""
    seen: dict[str, int] = {}
    for number, name in enumerate(paths):
        if not name.strip():
            raise _row(read, path, number, Phrase("it has no path"))
        if "\0" in name:
            raise _row(read, path, number, Phrase("its path holds a zero character"))
        first = seen.setdefault(os.path.normpath(os.path.join(root, name.strip())), number)
        for each in (labels, splits):
            if each[first] != each[number]:
                reason = Phrase(
                    '{name} is "{value}" here and "{before}" in line {line}',
                    name=name,
                    value=shortened(each[number]),
                    before=shortened(each[first]),
                    line=read.lines[first],
                )
                raise _row(read, path, number, reason)
    return list(seen.values())


def _listed(names: list[str], root: str, survey: Survey) -> list[Listed | None]:
    real = os.path.realpath(root)
    paths = [(os.path.join(root, name.strip()), name.strip()) for name in names]
    allowed = [inside(path, real) for path, _ in paths]
    survey.bad += [
        (name, Phrase("outside the folder of the table (data.root)"))
        for (_, name), fine in zip(paths, allowed, strict=True)
        if not fine
    ]
    read = iter(
        with_headers([each for each, fine in zip(paths, allowed, strict=True) if fine], survey)
    )
    return [next(read) if fine else None for fine in allowed]


def _row(read: Table, path: Path, number: int, reason: Phrase) -> DataError:
    return DataError(
        "Line {line} of {path} does not fit: {reason}.",
        hint="Expected the path of an image and the name or number of its class in each row.",
        line=read.lines[number],
        path=str(path),
        reason=reason,
    )
