"""Event files that TensorBoard reads, written so that a disk that refuses them ends no run.

TensorBoard's own writer hands records to a thread; when the disk is full, that thread prints a
traceback and the training loop stops at some later call. Here records are kept in memory until
`flush`, which appends them whole or not at all and says at once what went wrong.

Names count upwards (`events.out.tfevents.0000000001`), for TensorBoard reads the files of a folder
in the order of their names: neither a clock that was set back nor the next process' number can
change what comes after what.
"""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import (  # type: ignore[import-untyped]
    Event,
    SessionLog,
)
from torch.utils.tensorboard import RecordWriter

from netwright.core import atomic


def event_files(folder: Path) -> list[Path]:
    """The event files of `folder`, oldest first."""
    return sorted(folder.glob("*tfevents*"))


class EventFile:
    """One new event file in `folder`, which is made when there is something to write."""

    def __init__(self, folder: Path) -> None:
        number = 1 + max((_number(path) for path in event_files(folder)), default=0)
        self.path = folder / f"events.out.tfevents.{number:010d}"
        self._length = 0
        self._waiting = io.BytesIO()
        self._records = RecordWriter(self._waiting)
        self._add(Event(file_version="brain.Event:2"), 0)

    def forget_from(self, step: int) -> None:
        """Tell readers to drop whatever older records hold of `step` and later ones."""
        self._add(Event(session_log=SessionLog(status=SessionLog.START)), step)

    def add_summary(self, summary: Any, step: int) -> None:
        """Keep a `Summary` (see `torch.utils.tensorboard.summary`) for the next `flush`."""
        self._add(Event(summary=summary), step)

    def add_graph(self, graph: Any) -> None:
        """Keep a `GraphDef` for the next `flush`."""
        self._add(Event(graph_def=graph.SerializeToString()), 0)

    def flush(self) -> None:
        """Append what is waiting, whole or not at all.

        Raises `ExhaustedError` when the disk is full or cannot be written; what waited is lost,
        what was written before is whole.
        """
        data = self._waiting.getvalue()
        if not data:
            return
        self._waiting.seek(0)
        self._waiting.truncate()
        if not self.path.parent.is_dir():
            atomic.make_folder(self.path.parent)
        with atomic.explained(self.path, needed=len(data)):
            try:
                atomic.disk.append(self.path, data)
            except OSError:
                with contextlib.suppress(OSError):
                    atomic.disk.truncate(self.path, self._length)
                raise
        self._length += len(data)

    def _add(self, event: Any, step: int) -> None:
        event.wall_time = time.time()
        event.step = step
        self._records.write(event.SerializeToString())


def _number(path: Path) -> int:
    """The number in the name of one of our files, 0 for anyone else's."""
    ending = path.name.rpartition(".")[2]
    return int(ending) if ending.isdecimal() and len(ending) == 10 else 0
