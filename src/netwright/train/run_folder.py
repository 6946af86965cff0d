"""Writing a run folder: one owner at a time, every file whole or appended line by line.

    runs/2026-11-20T1802-digits-mlp-3f2a/
      run.json  config.yaml  model.json  metrics.jsonl  env.txt  log.txt  ckpt/  .lock

`run.json` is the first file and makes a folder a run, so a process killed before it leaves a
folder that can be started again. Reading is `netwright.records.run`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from netwright.core import atomic
from netwright.core.errors import DataError, SettingError
from netwright.core.linux import Lock
from netwright.train.run_places import fresh_place, refuse_taken, refuse_unfit


def holds_run(path: Path) -> bool:
    """Whether the folder at `path` holds a run that can be opened."""
    return os.path.isfile(path / "run.json")


def leftovers(path: Path) -> list[Path]:
    """Files beside their place that a killed process did not come to give their names."""
    places = (path, path / "evidence", path / "samples", path / "code")
    return sorted(left for place in places for left in place.glob(".*.tmp"))


def barely_begun(path: Path) -> bool:
    """Whether a run was killed before its settings were on the disk: there is nothing to lose."""
    if not holds_run(path):
        return False
    if (path / "findings.jsonl").exists():  # of a script that the doctor watched
        return False
    written = [(path / name).is_file() for name in ("config.yaml", "model.json")]
    return not all(written) and not (path / "ckpt").exists()


class RunFolder:
    """One run folder, locked while this object lives; make it with `create` or `open`.

    `info` is the content of `run.json`; `write_info` changes it.
    """

    def __init__(self, path: Path, lock: Lock, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info
        self._lock = lock
        self._length = _length(path / "metrics.jsonl")
        self._unsynced = False

    @classmethod
    def create(cls, path: Path | None, *, name_parts: Sequence[str], root: Path) -> RunFolder:
        """Make and lock the folder of a new run: `path`, else a new name under `root`.

        The name is the local time, `name_parts` (data, model) and four random digits. Raises
        `SettingError` when `path` holds a run already or cannot be a folder (nothing is touched
        then), `ExhaustedError` when the place cannot be written, `RunBusyError` when another
        process has just taken it.
        """
        if path is None:
            path = fresh_place(root, name_parts)
        refuse_unfit(path)
        refuse_taken(path)
        atomic.make_folder(path)
        lock = _lock(path)
        try:
            refuse_taken(path)  # another process may have come and gone since
            with atomic.explained(path):
                for left in leftovers(path):
                    atomic.disk.remove(left)
            folder = cls(path, lock, {})
            folder.write_info(format=1, status="running")
        except BaseException:
            lock.release()
            raise
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Lock the folder of a run that is there, and tidy up after a killed process.

        Raises `SettingError` when it holds no run, `DataError` when `run.json` is damaged,
        `RunBusyError` when another process holds it.
        """
        if not holds_run(path):
            raise SettingError(
                "There is no run in {path}.",
                hint="A run folder holds run.json; netwright ls runs lists the runs.",
                path=str(path),
            )
        lock = _lock(path)
        try:
            info = _read_info(path / "run.json")
            with atomic.explained(path):
                for left in leftovers(path):
                    atomic.disk.remove(left)
                _mend_tail(path / "metrics.jsonl")
            return cls(path, lock, info)
        except BaseException:
            lock.release()
            raise

    def write_info(self, **changes: Any) -> None:
        """Change keys of `run.json`; the others stay. What is not a finite number is null."""
        info = _plain({**self.info, **changes})
        atomic.write_json(self.path / "run.json", info)
        self.info = info

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`, whole or not at all; NaN and infinity are null."""
        path = self.path / "metrics.jsonl"
        text = json.dumps(_plain(line), ensure_ascii=False, allow_nan=False) + "\n"
        data = text.encode("utf-8", "backslashreplace")
        with atomic.explained(path, needed=len(data)):
            try:
                atomic.disk.append(path, data)
            except OSError:
                with contextlib.suppress(OSError):
                    atomic.disk.truncate(path, self._length)
                raise
        self._length += len(data)
        self._unsynced = True

    def metrics_length(self) -> int:
        """The bytes of `metrics.jsonl`, for a checkpoint to remember.

        They are forced to the disk first: a checkpoint must not outlive lines it counts on.
        """
        if self._unsynced:
            with atomic.explained(self.path):
                atomic.disk.sync(self.path / "metrics.jsonl")
                atomic.disk.sync(self.path)
            self._unsynced = False
        return self._length

    def cut_metrics(self, length: int) -> int:
        """Cut `metrics.jsonl` back to `length` bytes, so that redone steps stand once.

        Returns how many bytes are missing where the file is shorter than that, normally 0.
        """
        path = self.path / "metrics.jsonl"
        if self._length > length:
            with atomic.explained(path):
                atomic.disk.truncate(path, length)
                _mend_tail(path)
            self._length = _length(path)
            self._unsynced = True
        return max(0, length - self._length)

    def write_config(self, text: str) -> None:
        """`config.yaml`: every setting as it was resolved."""
        atomic.write_text(self.path / "config.yaml", text)

    def write_model(self, model: Mapping[str, Any]) -> None:
        """`model.json`: what predict and evaluate need besides the weights."""
        atomic.write_json(self.path / "model.json", _plain(model))

    def write_env(self, text: str) -> None:
        """`env.txt`: the installed versions, for a reader."""
        atomic.write_text(self.path / "env.txt", text)

    def log(self, text: str) -> None:
        """Append `text` and the time to `log.txt`; a disk that refuses it ends no run."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text.rstrip()}\n"
        with contextlib.suppress(OSError):
            atomic.disk.append(self.path / "log.txt", line.encode("utf-8", "backslashreplace"))

    def point_latest(self) -> bool:
        """Make `latest` beside this folder lead to it; false where that is not possible.

        (A folder of that name, a disk without links: a run is worth more than a short name.)
        A run inside another one, as one of several seeds, is not the latest: that one is.
        """
        if holds_run(self.path.parent):
            return False
        link = self.path.parent / "latest"
        beside = link.with_name(f".latest.{os.getpid()}.tmp")
        try:
            atomic.disk.remove(beside)
            atomic.disk.point(beside, self.path.name)
            atomic.disk.rename(beside, link)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            return False
        return True

    def close(self) -> None:
        """Give the folder free for others."""
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _lock(path: Path) -> Lock:
    with atomic.explained(path):
        return Lock(path / ".lock")


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged_info(path) from error
    if not isinstance(info, dict):
        raise _damaged_info(path)
    return info


def _damaged_info(path: Path) -> DataError:
    return DataError(
        "{path} is damaged.",
        hint="Start a new run from the configuration: netwright train --config {config}",
        path=str(path),
        config=str(path.with_name("config.yaml")),
    )


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _mend_tail(path: Path) -> None:
    """Cut a last line that was torn in the middle."""
    with contextlib.suppress(FileNotFoundError):
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            atomic.disk.truncate(path, whole)


def _plain(value: Any) -> Any:
    """The same value with null for every number that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
