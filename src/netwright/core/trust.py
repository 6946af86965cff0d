"""Which code this user has run by name: the only thing that can vouch for code in a run folder.

A run folder records the file its network came from, and that file's hash. Both were written by
whoever made the folder, so they prove nothing. When `train` runs a factory the user named, a
line goes into the user's own cache; later the code runs again without a question only if the
same file, with the same content and the same name in it, stands there.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from netwright.core import atomic
from netwright.core.cache import cache_home

_LARGEST = 4 * 2**20


def remember(spec: str, origin: Path, sha256: str) -> None:
    """Note that the user ran `spec` from the file `origin` with this hash.

    A cache that cannot be written is no failure: the user is asked for `--trust-code` later.
    """
    line = _line(spec, origin, sha256)
    with contextlib.suppress(OSError, RuntimeError):
        known = _known()
        if line not in known:
            folder = cache_home()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.disk.append(folder / "code.txt", f"{line}\n".encode())


def is_remembered(spec: str, origin: Path, sha256: str) -> bool:
    """Whether the user ran just this before."""
    with contextlib.suppress(OSError, RuntimeError):
        return _line(spec, origin, sha256) in _known()
    return False


def _line(spec: str, origin: Path, sha256: str) -> str:
    # As Python writes text, so that no name can hold the end of a line or of a column.
    return f"{sha256} {spec!a} {str(origin)!a}"


def _known() -> set[str]:
    path = cache_home() / "code.txt"
    try:
        if path.stat().st_size > _LARGEST:
            return set()
        return set(path.read_text(encoding="ascii", errors="replace").splitlines())
    except FileNotFoundError:
        return set()
