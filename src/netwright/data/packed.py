"""Data in an archive: unpacked into the cache, and the place in it where the data begin."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from netwright.core.archives import is_archive, unpacked
from netwright.data.shards import is_shard

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")


def data_in(path: Path) -> Path:
    """The folder or table in the archive `path`; any other path, and a tar of images with their
    labels beside them, is returned as it is.

    Folders that hold one folder and nothing else are gone through. A single table at the top,
    with no folders called train, stands for the whole.
    """
    if not is_archive(path) or is_shard(str(path)):
        return path
    facts = path.stat()
    return _inside(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=8)  # a set is looked at several times before it is read
def _inside(path: Path, changed: int, size: int) -> Path:
    folder = unpacked(path)
    while len(inner := _entries(folder)) == 1 and inner[0].is_dir():
        folder = inner[0]
    tables = [each for each in inner if each.suffix.lower() in _TABLES and each.is_file()]
    splits = [each for each in inner if each.is_dir() and each.name.lower().startswith("train")]
    return tables[0] if len(tables) == 1 and not splits else folder


def _entries(folder: Path) -> list[Path]:
    names = (e for e in os.listdir(folder) if not e.startswith((".", "__MACOSX")))
    return [folder / name for name in sorted(names, key=os.fsencode)]
