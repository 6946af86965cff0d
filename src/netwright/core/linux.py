"""What Netwright needs of Linux alone: locks that die with their process, and parent-death signals.

On another system `lock` raises `SettingError` saying so, and `die_with_parent` does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

from netwright.core.errors import RunBusyError, SettingError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    It is the kernel's (`flock`), not a file with a process id in it: a killed process leaves
    no lock behind, and a recycled id cannot be mistaken for it.
    """

    def __init__(self, path: Path) -> None:
        if sys.platform != "linux":
            raise SettingError(
                "Run folders can be locked on Linux only; this system is {system}.",
                system=sys.platform,
            )
        import fcntl

        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise RunBusyError(
                "The run folder {path} is in use by another process.",
                hint="Wait for it to end, or start another run without --run-dir and --resume.",
                path=str(path.parent),
            ) from None

    def release(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._handle)


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
