"""Where a new run may be made: a name of its own, and no folder that holds something else."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from netwright.core.errors import SettingError

_OURS = (
    "run.json", "config.yaml", "model.json", "metrics.jsonl", "findings.jsonl", "record.json",
    "record.npz", "interventions.jsonl", "evidence",
    "ckpt", "best.safetensors", "samples", "report.html", "log.txt", "env.txt", "code",
)  # fmt: skip


def fresh_place(root: Path, name_parts: Sequence[str]) -> Path:
    """A name that is not taken under `root`: time, `name_parts` and four random digits."""
    words = [time.strftime("%Y-%m-%dT%H%M"), *map(_word, name_parts)]
    while True:
        path = root / "-".join([*words, secrets.token_hex(2)])
        if not os.path.lexists(path):
            return path


def refuse_unfit(path: Path) -> None:
    """Raise `SettingError` when no folder can be made at `path`, whatever the disk allows."""
    place = path
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if place.is_dir():
        try:
            path.lstat()
        except ValueError as error:  # a null byte
            raise _unfit(path, str(error)) from error
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                raise _unfit(path, os.strerror(error.errno).lower()) from error
        return
    raise SettingError(
        "{path} is not a folder, so it cannot be or hold a run folder.",
        hint="Choose another place with --run-dir.",
        path=str(place),
    )


def refuse_taken(path: Path) -> None:
    """Raise `SettingError` when `path` holds a run, or files that a run would write over."""
    if os.path.lexists(path / "run.json"):
        raise SettingError(
            "The folder {path} already holds a run.",
            hint="Go on with it by --resume auto, or choose another folder with --run-dir.",
            path=str(path),
        )
    taken = [name for name in _OURS if os.path.lexists(path / name)]
    if taken:
        raise SettingError(
            "The folder {path} holds {names}, which a run would write over.",
            hint="Choose a new or an empty folder with --run-dir.",
            path=str(path),
            names=", ".join(taken),
        )


def _unfit(path: Path, reason: str) -> SettingError:
    return SettingError(
        "{path} cannot be a run folder: {reason}.",
        hint="Choose another place with --run-dir.",
        path=str(path),
        reason=reason,
    )


def _word(part: str) -> str:
    """A part of a name that every file system and every shell takes.

    >>> _word("../my data/flowers/"), _word("net.py:make")
    ('my-data-flowers', 'net.py-make')
    """
    text = part.encode("utf-8", "replace").decode()
    return re.sub(r"[^\w.]+", "-", text).strip("-._")[-40:].strip("-._") or "x"
