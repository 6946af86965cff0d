"""What we run of somebody's prints nothing and warns of nothing, in our own thread alone.

`contextlib.redirect_stdout` and `warnings.catch_warnings` change the whole process, and put back
what they found: two threads that take turns leave the program without its output for good. And
`catch_warnings` makes Python forget which warnings it has shown, so that those of the loop come
once more. Here a filter and a stream are laid on top that ask which thread it is.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any


class _Depth(threading.local):
    """How many blocks of ours this thread is in."""

    warnings = 0
    output = 0


_depth = _Depth()
_lock = threading.Lock()


class _InOurs:
    """Stands where a filter of warnings has its regular expression."""

    def match(self, text: str) -> bool:
        return _depth.warnings > 0


_FILTER: Any = ("ignore", _InOurs(), Warning, None, 0)


_unwarned = 0


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """What the block does warns nobody.

    >>> with unwarned():
    ...     warnings.warn("of a pass of ours", stacklevel=1)
    """
    global _unwarned
    _depth.warnings += 1
    with _lock:
        _unwarned += 1
        filters: Any = warnings.filters
        if not filters or filters[0] is not _FILTER:
            filters.insert(0, _FILTER)
    try:
        yield
    finally:
        _depth.warnings -= 1
        with _lock:
            _unwarned -= 1
            if not _unwarned:
                # A list that somebody put aside meanwhile may keep it: out of here it is inert.
                filters = warnings.filters
                filters[:] = [each for each in filters if each is not _FILTER]


class _Divided:
    """A stream, less what threads write to it that are in a block of ours."""

    def __init__(self, true: Any) -> None:
        self._true = true

    def write(self, text: str) -> int:
        if _depth.output or self._true is None:
            return len(text)
        return int(self._true.write(text) or 0)

    def writelines(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.write(each)

    def flush(self) -> None:
        if self._true is not None and not _depth.output:
            self._true.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true, name)


_inside = 0
_divided: _Divided | None = None


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """`unwarned`, and what the block prints is dropped."""
    global _inside, _divided
    with _lock:
        if not _inside and not isinstance(sys.stdout, _Divided):
            _divided = _Divided(sys.stdout)
            sys.stdout = _divided
        _inside += 1
    _depth.output += 1
    try:
        with unwarned():
            yield
    finally:
        _depth.output -= 1
        with _lock:
            _inside -= 1
            if not _inside and _divided is not None and sys.stdout is _divided:
                sys.stdout, _divided = _divided._true, None
