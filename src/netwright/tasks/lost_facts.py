"""A run whose `run.json` is damaged can go on: weights, position and settings lie elsewhere.

What is lost with it is the run's account of itself: its command, versions, times and notes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwright.core import atomic
from netwright.core import events as e
from netwright.core.errors import DataError, NetwrightError
from netwright.core.linux import Lock
from netwright.records.run import Run
from netwright.tasks.settings import read_config

_MOST_BYTES = 1 << 24


def with_facts(run: Run, events: e.Events) -> Run:
    """`run`; with a new `run.json` where the old one cannot be read, which is kept beside it.

    Raises `DataError` as before where more is wrong than that: what lies there is no file, the
    settings cannot be read either, or it is the folder of several seeds, which lists them there.
    Raises `RunBusyError` when another process holds the run.
    """
    try:
        _ = run.info
    except DataError:
        path = run.path / "run.json"
        content = _content(path)
        if content is None or not _is_of_one_seed(run.path):
            raise
        lock = Lock(run.path / ".lock")
        try:
            kept = path.with_name("run.json.damaged")
            atomic.write_bytes(kept, content)
            atomic.write_json(path, _anew())
        finally:
            lock.release()
        events.emit(
            e.Noted(
                word="WARN",
                template="{path} was damaged and begins anew: the run is not harmed, but for what "
                "it noted of itself. What was there is in {kept}.",
                values={"path": str(path), "kept": str(kept)},
            )
        )
        return Run(run.path)
    return run


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_bytes()
    return None


def _is_of_one_seed(folder: Path) -> bool:
    with contextlib.suppress(NetwrightError):
        return read_config(str(folder / "config.yaml")).recipe.general.seeds == 1
    return False


def _anew() -> Mapping[str, Any]:
    """What a run that was broken off says of itself, as far as it can be known."""
    return {"format": 1, "status": "interrupted", "why": "run.json was damaged"}
