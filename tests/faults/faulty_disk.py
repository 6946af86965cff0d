"""A disk whose N-th operation fails, as SQLite tests itself: for every N until all goes well.

Four faults: `kill` ends the process before the operation; `torn` in the middle of it (half of
the bytes written, half of a folder removed) or right after it where it has no middle; `full`
writes half and says that there is no space, then and ever after; `io` is one input/output error.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netwright.core import atomic
from netwright.core.atomic import Disk

FAULTS = ("kill", "torn", "full", "io")
KILLED = 137
OPERATIONS = (
    "write", "append", "sync", "rename", "link", "point", "make_folder", "remove", "truncate",
)  # fmt: skip
_NEEDS_SPACE = ("write", "append", "sync", "link", "point", "make_folder")


class FaultyDisk(Disk):
    """Counts the operations from 1 in `log`; fails the one with number `at` by `fault`."""

    def __init__(self, *, at: int = 0, fault: str = "io") -> None:
        self.at = at
        self.fault = fault
        self.log: list[tuple[str, str]] = []

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        return _Operation(self, name, method) if name in OPERATIONS else method

    @property
    def ran_through(self) -> bool:
        """Whether the program ended before it came to the operation that fails."""
        return len(self.log) < self.at


class _Operation:
    def __init__(self, disk: FaultyDisk, name: str, method: Callable[..., None]) -> None:
        self.disk, self.name, self.method = disk, name, method

    def __call__(self, path: Path, *values: Any) -> None:
        disk = self.disk
        disk.log.append((self.name, str(path)))
        number, fault = len(disk.log), disk.fault
        if fault == "full" and disk.at <= number and self.name in _NEEDS_SPACE:
            self.half(path, *values)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if number == disk.at and fault != "full":
            if fault == "io":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            if fault == "torn":
                self.half(path, *values)
            os._exit(KILLED)
        self.method(path, *values)

    def half(self, path: Path, *values: Any) -> None:
        """Do a part of the operation, or all of one that has no parts."""
        if self.name in ("write", "append"):
            data = b"".join(values)
            self.method(path, data[: len(data) // 2])
        elif self.name == "remove" and path.is_dir():
            for entry in sorted(path.iterdir())[: len(list(path.iterdir())) // 2]:
                entry.unlink()
        elif self.disk.fault == "torn":
            self.method(path, *values)


def installed(*, at: int, fault: str) -> FaultyDisk:
    """Put a faulty disk in the place of the good one, for the rest of this process."""
    disk = FaultyDisk(at=at, fault=fault)
    atomic.disk = disk
    return disk
