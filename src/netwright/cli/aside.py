"""Standard output kept free for one document: whatever else is written there, by Python, by C
code or by a process that is started, goes to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def spoken_aside(*, leave: bool) -> Iterator[IO[str]]:
    """The block's standard output goes to standard error; what is yielded is the true one. With
    `leave` it stays so, for what is written at the very end of the process."""
    sys.stdout.flush()
    plain = sys.stdout
    true = os.fdopen(os.dup(1), "w", encoding=plain.encoding or "utf-8", errors="backslashreplace")
    before = os.dup(1)
    os.dup2(2, 1)
    try:
        through = plain.fileno() == 1
    except (OSError, ValueError):
        through = False
    if not through:
        sys.stdout = sys.stderr
    try:
        yield true
    finally:
        with contextlib.suppress(BrokenPipeError):
            true.close()
        if not leave:
            sys.stdout.flush()
            sys.stdout = plain
            os.dup2(before, 1)
        os.close(before)
