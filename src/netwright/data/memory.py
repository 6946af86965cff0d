"""How much memory a data set may take before it is streamed instead."""

from __future__ import annotations

import contextlib
from pathlib import Path

_LIMIT = 1 << 30


def memory_limit() -> int:
    """Bytes a set may take in memory: 1 GiB, or a quarter of what is free if that is less."""
    return min(_LIMIT, available_bytes() // 4)


def available_bytes() -> int:
    """Bytes this process may still take: of the machine, and of its control group if smaller."""
    free = 4 * _LIMIT
    with contextlib.suppress(OSError, LookupError, ValueError):
        free = _numbers(Path("/proc/meminfo"))["MemAvailable:"] * 1024
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, LookupError, ValueError):  # "max" is no number: no limit
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        cached = _numbers(group / "memory.stat")["file"]  # given back when somebody needs it
        free = min(free, limit - used + cached)
    return max(free, 0)


def _numbers(path: Path) -> dict[str, int]:
    """The lines `name number ...` of a file of the kernel."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines}
