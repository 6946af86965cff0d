"""What Netwright needs of Linux alone: locks that die with their process, parent-death signals, and
an allocator that keeps its pages.

On another system `Lock` raises `SettingError` saying so, and the others do nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from netwright.core.errors import RunBusyError, SettingError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    It is the kernel's (`flock`), not a file with a process id in it: a killed process leaves
    no lock behind, and a recycled id cannot be mistaken for it. Raises `RunBusyError` at once
    when another process, or another `Lock` of this one, holds it.
    """

    def __init__(self, path: Path) -> None:
        if sys.platform != "linux":
            raise SettingError(
                "Run folders can be locked on Linux only; this system is {system}.",
                system=sys.platform,
            )
        import fcntl

        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise busy(path.parent) from None
        except OSError:
            self.release()
            raise
        _held.add(self)

    def release(self) -> None:
        """Give the lock free; a second time does nothing."""
        _held.discard(self)
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)


def busy(folder: Path) -> RunBusyError:
    """What is told where another process has the lock of `folder`."""
    return RunBusyError(
        "The run folder {path} is in use by another process.",
        hint="Wait for it to end, or start another run without --run-dir and --resume.",
        path=str(folder),
    )


def is_held(path: Path) -> bool | None:
    """Whether some process holds the `Lock` on the file at `path`; None where nobody can tell.

    It is looked up in the kernel's list: taking the lock to try it could refuse a run that begins
    at that moment.

    >>> is_held(Path("no such file"))
    False
    """
    try:
        found = path.stat()
        listed = Path("/proc/locks").read_text()
    except FileNotFoundError:
        return False if sys.platform == "linux" else None
    except OSError:
        return None
    # By inode alone: an overlay tells another device here than there.
    places = [line.split()[5] for line in listed.splitlines() if " FLOCK " in line]
    return any(place.endswith(f":{found.st_ino}") for place in places)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _let_go_after_fork() -> None:
    """A forked worker shares the lock, and would hold it on after its parent was killed."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_after_fork)


def descendants(process: int) -> dict[int, str]:
    """The processes that a process has made, and those that they have; each with the moment of its
    start, by which a number that is used again can be told. None on another system.

    >>> os.getpid() in descendants(os.getpid())
    False
    """
    parents: dict[int, int] = {}
    starts: dict[int, str] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            told = (place / "stat").read_text().rpartition(")")[2].split()
            parents[int(place.name)], starts[int(place.name)] = int(told[1]), told[19]
    found: dict[int, str] = {}
    waiting = [process]
    while waiting:
        around = waiting.pop()
        made = [each for each, parent in parents.items() if parent == around and each not in found]
        found.update((each, starts[each]) for each in made)
        waiting += made
    return found


def end_all(processes: Mapping[int, str]) -> None:
    """Kill those of `descendants` that still live."""
    for number, start in processes.items():
        with contextlib.suppress(OSError, IndexError):
            told = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            if told[19] == start:
                os.kill(number, signal.SIGKILL)


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent ends, however that happens.

    `parent` is the process id the parent had before it started this process: when it ended
    before the kernel was asked, this process has another parent by now and ends here.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def machine_seconds() -> tuple[float, float] | None:
    """Seconds that all processors together have been busy and idle since the machine started;
    None where the system does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            ticks = [int(each) for each in lines.readline().split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    if len(ticks) < 5:
        return None
    idle = ticks[3] + ticks[4]  # waiting for a disk is idle too
    return (sum(ticks) - idle) / second, idle / second


# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_LARGEST = 2**31 - 1


@contextlib.contextmanager
def pages_kept() -> Iterator[None]:
    """Memory that is freed in the block stays with the process, and is given back at its end.

    A training step frees and asks for the same large tensors again and again. glibc hands those
    above 32 MB back to the kernel each time, which has to clear every page anew: 6 to 15 % of a
    step of MobileNetV2 at 224 pixels, saved for 7 % more memory. Does nothing where the allocator
    is another one.
    """
    library = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(library, "mallopt"):
        yield
        return
    if not library.mallopt(_M_MMAP_THRESHOLD, _LARGEST):  # older ones allow no more than 32 MB
        library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)
    library.mallopt(_M_TOP_PAD, 64 << 20)
    try:
        yield
    finally:  # where its own rule of thumb comes to rest
        library.mallopt(_M_MMAP_MAX, 65536)
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        library.mallopt(_M_TOP_PAD, 128 << 10)
        library.malloc_trim(0)
