"""What a rank has said last, kept for who started it: the last lines of a process that is gone."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from netwright.core import events as e
from netwright.core.errors import NetwrightError
from netwright.core.languages import Phrase

VARIABLE = "NETWRIGHT_RANK_WORDS"
"""Names the folder in which each rank writes what it says."""
LINES = 60
_BYTES = 1 << 16  # from the end of what was said
_CRASH = "Fatal Python error"


@contextlib.contextmanager
def remembered(rank: int) -> Iterator[e.Listener]:
    """Within, what goes to standard error, the error that leaves the block, and where Python stood
    when a signal such as SIGSEGV ended it are written down, if a launcher asks for it; and what
    the listener hears that it gives."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        yield lambda event: None
        return
    with _file(folder, rank).open("a", encoding="utf-8", errors="backslashreplace") as log:
        before, known = sys.stderr, faulthandler.is_enabled()
        sys.stderr = _Both(before, log)
        faulthandler.enable(log)
        try:
            yield functools.partial(_hear, log)
        except BaseException as error:
            ours = isinstance(error, NetwrightError)
            log.write(f"{error}\n" if ours else traceback.format_exc())
            raise
        finally:
            sys.stderr = before
            faulthandler.disable()
            if known:
                faulthandler.enable()


def last_words(folder: Path, ranks: int) -> dict[str, list[str]]:
    """The last lines of each rank that has said something, by its number; where it crashed, the
    last before that, and as many of where Python stood."""
    found = {}
    for rank in range(ranks):
        with contextlib.suppress(OSError):
            data = _file(folder, rank).read_bytes()[-_BYTES:]
            lines = data.decode("utf-8", "replace").splitlines()
            crashes = [at for at, line in enumerate(lines) if line.startswith(_CRASH)]
            end = min(crashes[-1] + LINES, len(lines)) if crashes else len(lines)
            start = (crashes[-1] if crashes else end) - LINES
            if lines:
                found[str(rank)] = lines[max(start, 0) : end]
    return found


def _file(folder: str | Path, rank: int) -> Path:
    return Path(folder) / f"rank-{rank}.txt"


def _hear(log: TextIO, event: e.Event) -> None:
    line = ""
    if isinstance(event, e.Noted):
        line = f"{event.word} {Phrase(event.template, **event.values)}"
    elif isinstance(event, e.RunStarted):
        line = f"begins at step {event.step}"
    elif isinstance(event, e.CheckpointSaved):
        line = f"step {event.step}: saved"
    elif isinstance(event, e.Measured):
        known = {name: value for name, value in event.metrics.items() if value is not None}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
        line = f"step {event.step}: {shown}"
    if line:
        log.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        log.flush()


class _Both:
    """A stream whose text also goes to a log."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._log.write(text)
            self._log.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
