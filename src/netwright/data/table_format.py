"""Tables of paths and labels: CSV with any usual delimiter, or JSONL, read as rows of text.

Which column is which is guessed, from the names in the first row and then from the values.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core.errors import DataError, SettingError
from netwright.core.languages import Phrase
from netwright.data.reading import SUFFIXES, open_regular

_PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "img",
          "image_path", "image_file", "image_name")  # fmt: skip
_LABELS = ("label", "class", "target", "category", "y", "class_name", "label_name")
_SPLITS = ("split", "set", "subset", "partition", "fold")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text by column name; `lines` says where in the file each row ends."""

    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_table(path: Path, *, delimiter: str | None) -> Table:
    """The table at `path`; `DataError` names the line that does not fit."""
    try:
        with open_regular(str(path)) as file:
            # Names of files need not be UTF-8: carry such bytes as Python's file names do.
            content = file.read()
            text = content.decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(
            "Cannot read {path}: {reason}.",
            hint="Expected a .csv or .jsonl file of paths and labels.",
            path=str(path),
            reason=(error.strerror or str(error)).lower(),
        ) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _misfit(path, Phrase("it is UTF-16, not UTF-8: save it as UTF-8"))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _jsonl(text, path)
    return _csv(text, path, delimiter)


def guess_columns(
    table: Table, path: Path, *, path_column: str | None, label_column: str | None,
    split_column: str | None,
) -> tuple[str, str, str | None]:  # fmt: skip
    """The columns of paths, labels and splits (None without one).

    Raises `SettingError` for a column that is not there, `DataError` when no guess is possible.
    """
    for given in (path_column, label_column, split_column):
        if given is not None and given not in table.columns:
            raise SettingError(
                'There is no column "{column}" in {path}.',
                hint="It has: {columns}.",
                column=given,
                path=str(path),
                columns=", ".join(table.columns),
            )
    paths = path_column or _by_name(table, _PATHS) or _by_content(table)
    labels = label_column or _by_name(table, _LABELS)
    split = split_column or _by_name(table, _SPLITS)
    if labels is None:
        left = [name for name in table.columns if name not in (paths, split)]
        labels = left[0] if len(left) == 1 else None
    if paths is None or labels is None:
        raise DataError(
            "Cannot tell which columns of {path} are paths and labels: it has {columns}.",
            hint="Name them: data.path_column=... data.label_column=...",
            path=str(path),
            columns=", ".join(table.columns),
        )
    return paths, labels, split


def _by_name(table: Table, names: Sequence[str]) -> str | None:
    folded = {column.strip().lower().replace(" ", "_"): column for column in table.columns}
    return next((folded[name] for name in names if name in folded), None)


def _by_content(table: Table) -> str | None:
    """The column whose values end most often like an image file, if at least half do."""
    shares = {
        name: sum(map(_looks_like_image, table.column(name))) / len(table.rows)
        for name in table.columns
    }
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= 0.5 else None


def _looks_like_image(value: str) -> bool:
    return os.path.splitext(value.strip())[1].lower() in SUFFIXES


def _csv(text: str, path: Path, delimiter: str | None) -> Table:
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise SettingError(
            'data.delimiter="{value}" is no delimiter: expected one character, such as "," or ";".',
            value=delimiter,
        )
    try:
        chosen = delimiter or _sniffed(text.splitlines()[:20])
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _misfit(path, Phrase("it is no CSV file ({reason})", reason=error)) from error
    if not rows:
        raise _misfit(path, Phrase("it is empty"))
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise _misfit(
                path,
                Phrase(
                    "line {line} has {count} columns, the first {width}",
                    line=line,
                    count=len(row),
                    width=width,
                ),
            )
    first = [cell.strip() for cell in rows[0][1]]
    known = {*_PATHS, *_LABELS, *_SPLITS}
    named = any(cell.lower().replace(" ", "_") in known for cell in first)
    header = named or (len(rows) > 1 and not any(map(_looks_like_image, first)))
    columns = first if header else [f"column {i + 1}" for i in range(width)]
    body = rows[1:] if header else rows
    if not body or width < 2:
        raise _misfit(
            path,
            Phrase("it has {rows} rows of {width} columns", rows=len(body), width=width),
        )
    return Table(
        columns=tuple(columns),
        rows=[row for _, row in body],
        lines=[line for line, _ in body],
    )


def _sniffed(lines: list[str]) -> str:
    """The delimiter that cuts every line into the same number of columns, the most of them."""
    best, most = ",", 1
    for each in _DELIMITERS:
        widths = {len(row) for row in csv.reader(lines, delimiter=each) if row}
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = each, width
    return best


def _jsonl(text: str, path: Path) -> Table:
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _misfit(path, Phrase("line {line} is no JSON", line=number)) from error
        if not isinstance(record, dict):
            raise _misfit(path, Phrase("line {line} is no JSON object", line=number))
        _refuse_lone_surrogates(record, number, path)
        records.append(record)
        lines.append(number)
    if not records:
        raise _misfit(path, Phrase("it is empty"))
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    rows = [[_text(record.get(name)) for name in columns] for record in records]
    return Table(columns=columns, rows=rows, lines=lines)


def _refuse_lone_surrogates(record: dict[str, Any], line: int, path: Path) -> None:
    r"""JSON can write half a character, `"\ud800"`, which no file system and no UTF-8 can.

    Halves that stand for a byte that is no UTF-8 are Python's own way to carry it.
    """
    for value in itertools.chain(record, map(_text, record.values())):
        try:
            os.fsencode(value)
        except UnicodeEncodeError as error:
            reason = Phrase("line {line} holds half a character (a lone surrogate)", line=line)
            raise _misfit(path, reason) from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _misfit(path: Path, reason: Phrase) -> DataError:
    return DataError(
        "{path} is no table of images: {reason}.",
        hint="Expected one row for each image, with a path and a label.",
        path=str(path),
        reason=reason,
    )
