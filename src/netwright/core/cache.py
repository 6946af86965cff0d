"""The cache: the one place outside run folders where Netwright keeps files, and leave to fetch.

`NETWRIGHT_HOME` names it (`~/.cache/netwright` without it); with `NETWRIGHT_OFFLINE=1` nothing
is fetched into it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from netwright.core.atomic import free_bytes
from netwright.core.errors import ExhaustedError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def cache_home() -> Path:
    """The folder of the cache, as an absolute path; it need not exist yet."""
    return Path(os.environ.get("NETWRIGHT_HOME") or "~/.cache/netwright").expanduser().absolute()


def offline() -> bool:
    """Whether the user forbids every download."""
    return os.environ.get("NETWRIGHT_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


@contextlib.contextmanager
def writing(path: Path, *, needed: int | None = None) -> Iterator[None]:
    """Turn a refusal of the disk under `path` into an `ExhaustedError` that names the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise too_full(path, needed) from error
        raise ExhaustedError(
            "Cannot write {path}: {reason}.",
            hint="Choose a writable place for the cache with NETWRIGHT_HOME.",
            path=str(path),
            reason=os.strerror(error.errno or errno.EIO).lower(),
        ) from error


def need_room(path: Path, needed: int) -> None:
    """`ExhaustedError` if the disk under `path` has no room for `needed` more bytes."""
    if free_bytes(path) < needed:
        raise too_full(path, needed)


def too_full(path: Path, needed: int | None) -> ExhaustedError:
    """The error of a cache whose disk has no room for `needed` bytes."""
    return ExhaustedError(
        "The disk under {path} has no room: {needed} needed, {free} free.",
        hint="Free some space, or choose another place for the cache with NETWRIGHT_HOME.",
        path=str(path),
        needed=amount(needed) if needed else "-",
        free=amount(free_bytes(path)),
    )


@contextlib.contextmanager
def held(path: Path) -> Iterator[IO[bytes]]:
    """The file `path`, made if need be, open for reading and writing by this process alone.

    Another process that wants it waits; the kernel gives it free when this one ends, however.
    """

    def opened(place: str, flags: int) -> int:
        return os.open(place, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    with open(path, "r+b", opener=opened) as file:
        with contextlib.suppress(ImportError):  # no such locks there: the last one wins
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def amount(count: int) -> str:
    """Bytes for a reader.

    >>> amount(812), amount(28_881), amount(170_052_171), amount(2_040_000_000)
    ('812 bytes', '28.9 kB', '170 MB', '2.04 GB')
    """
    if count < 1000:
        return f"{count} bytes"
    for unit in ("kB", "MB", "GB"):
        size = count / {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
        if size < 999.5 or unit == "GB":
            break
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{digits}f} {unit}"
