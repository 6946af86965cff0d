"""What stands at a place that a user named, for commands that are about to write there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from netwright.core.errors import SettingError

Standing = Literal["nothing", "file", "folder", "other"]


def standing(path: Path) -> Standing:
    """What is at `path`: a regular file, a folder, nothing; `other` is a pipe, a device, or a
    link that leads nowhere, which renaming a file over it would take away.

    Raises `SettingError` for a name that no system takes, or a place that may not be looked at.

    >>> standing(Path("/")), standing(Path("/dev/null"))
    ('folder', 'other')
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return _without(path, error)
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def refuse_missing_folder(path: Path, *, option: str = "") -> None:
    """`SettingError` when the file that a user named, with `option` in front, has no folder."""
    if standing(path.parent) != "folder":
        raise SettingError(
            "{place}: there is no folder {folder}.",
            hint="Make it first: mkdir -p {folder}",
            place=f"{option} {path}".strip(),
            folder=str(path.parent),
        )


def _without(path: Path, error: OSError | ValueError) -> Standing:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "other" if os.path.lexists(path) else "nothing"
    if code == errno.ELOOP:
        return "other"
    raise SettingError(
        "{path} cannot be the name of a file: {reason}.",
        hint="Choose another name.",
        path=str(path),
        reason=os.strerror(code).lower() if code is not None else str(error),
    ) from error
