"""Atomic files: after a crash a reader finds the old content or the new, never a part of either.

A file is written beside its place, forced to the disk, and renamed over it. A folder is
written beside its place, forced to the disk file by file, and renamed into it. Every operation
that changes the disk goes through `disk`, so that a test can make the N-th one fail.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from netwright.core.errors import ExhaustedError


class Disk:
    """The operations that change the disk, one method each; tests make the N-th one fail."""

    def write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write a new file, its content given in one part or several."""
        with open(path, "wb") as file:
            for part in parts:
                file.write(part)

    def append(self, path: Path, data: bytes) -> None:
        with open(path, "ab") as file:
            file.write(data)

    def sync(self, path: Path) -> None:
        """Force a file, or the entries of a folder, to the disk."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            # Some network file systems cannot do this for a folder, and say so.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def point(self, link: Path, target: str) -> None:
        """Make the symbolic link `link`, which leads to `target`."""
        os.symlink(target, link)

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def free(self, path: Path) -> int:
        """Bytes a user may still write under the existing folder `path`."""
        return shutil.disk_usage(path).free


disk = Disk()


def make_folder(path: Path) -> None:
    """Make `path` and its missing parents, and force their names to the disk."""
    with explained(path):
        missing = [place for place in (path, *path.parents) if not place.exists()]
        disk.make_folder(path)
        for place in missing:
            disk.sync(place.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the content of `path` by `data`, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path, needed=len(data)):
        try:
            disk.write(beside, data)
            disk.sync(beside)
            disk.rename(beside, path)
            disk.sync(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """JSON, two spaces deep; NaN is refused, for no standard JSON reader takes it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def explained(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn any refusal of the disk under `path` into an `ExhaustedError` that says the numbers.

    `needed` is the number of bytes that were to be written, where it is known.
    """
    try:
        yield
    except OSError as error:
        _explain(path, error, needed)


_FULL = {errno.ENOSPC, errno.EDQUOT}


def _explain(path: Path, error: OSError, needed: int) -> NoReturn:
    if error.errno in _FULL:
        raise full(path, needed) from error
    raise ExhaustedError(
        "Cannot write {path}: {reason}.",
        hint="Choose a writable place; for runs with --run-dir or NETWRIGHT_RUNS.",
        path=str(path),
        reason=os.strerror(error.errno or errno.EIO).lower(),
    ) from error


def full(path: Path, needed: int) -> ExhaustedError:
    """The error of a disk that has no room for `needed` bytes at `path`."""
    return ExhaustedError(
        "The disk under {path} is full: {needed} bytes needed, {free} free.",
        hint="Free some space, or choose another place with --run-dir; "
        "what was saved before is kept.",
        path=str(path.parent),
        needed=needed or "more",
        free=free_bytes(path.parent),
    )


def free_bytes(path: Path) -> int:
    """Bytes a user may still write on the disk that holds `path` (or its nearest parent)."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    return disk.free(place)
