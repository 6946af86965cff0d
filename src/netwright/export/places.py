"""Places of exported files: what may be written where, and putting it there whole or not at all.

A file is written into a folder beside its place, under its final name, for a format may write
two files that name each other. It is moved only when it has been checked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from netwright.core.atomic import disk, free_bytes
from netwright.core.errors import ExhaustedError, SettingError
from netwright.core.places import refuse_missing_folder, standing


def refuse_place(path: Path, *, overwrite: bool) -> None:
    """`SettingError` for a place where no file can or may be put: before any work is done."""
    there = standing(path)
    if there == "folder":
        raise SettingError(
            "{path} is a folder.",
            hint="Expected the name of a file, such as {example}.",
            path=str(path),
            example=str(path / "model.onnx"),
        )
    refuse_missing_folder(path)
    if there == "other":
        raise SettingError(
            "{path} is there and is no regular file: it is left alone.", path=str(path)
        )
    if there == "file" and not overwrite:
        raise SettingError(
            "{path} is there already.",
            hint="Say --yes to replace it (overwrite=True in Python), or name another file.",
            path=str(path),
        )


@contextlib.contextmanager
def staged(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path beside `path` to write to and to check; what lies there is moved when the block ends
    well, and gone when it does not.

    Raises `ExhaustedError` when the disk refuses, `SettingError` when a file that was not there
    before has come to stand in the way.
    """
    folder = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explained(path, folder):
        try:
            disk.make_folder(folder)
            yield folder / path.name
            # The file itself comes last: what it refers to is there before it is.
            for each in sorted(folder.iterdir(), key=lambda found: found.name == path.name):
                refuse_place(path.with_name(each.name), overwrite=overwrite)
                disk.sync(each)
                disk.rename(each, path.with_name(each.name))
            disk.sync(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExhaustedError(
                "The disk under {path} is full: {needed} bytes needed, {free} free.",
                hint="Free some space, or name a file on another disk.",
                path=str(path.parent),
                needed="more",
                free=free_bytes(path.parent),
            ) from error
        raise ExhaustedError(
            "Cannot write {path}: {reason}.",
            hint="Name a file in a place you may write to.",
            path=str(path),
            reason=os.strerror(error.errno or errno.EIO).lower(),
        ) from error
