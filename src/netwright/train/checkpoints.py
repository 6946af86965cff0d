"""Checkpoints: one folder each with a hashed manifest; the newest that verifies wins.

    ckpt/step-000000123/{weights.safetensors, state.pt, manifest.json}

A folder is written beside its place, forced to the disk file by file, the manifest last, and
renamed: two files replaced one after the other can be torn apart, one folder renamed cannot.
The loop pays for a copy of the tensors only; a thread of its own hashes and writes them.

Kept are the newest three and, for each of them, the best checkpoint of its time, so that going
back to any of them brings back its best too. `best.safetensors` beside `ckpt/` is a hard link
to the weights of the best. A damaged checkpoint is moved to `ckpt/damaged/`, never deleted.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import struct
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from netwright.core import atomic
from netwright.core.errors import CheckpointError, ExhaustedError, NetwrightError
from netwright.core.languages import say
from netwright.train.copies import Copies, num_bytes, ties_of
from netwright.train.manifest import MANIFEST, damage, manifest_of, verified
from netwright.train.weights import UnreadableWeightsError, pack, read_weights, step_of, unpack

WEIGHTS = "weights.safetensors"
STATE = "state.pt"
BEST = "best.safetensors"

ANCHORS = 4
"""Places to go back to that are kept besides the first."""

_FOLDER = re.compile(r"step-(\d{9,15})", re.ASCII)
_ROOM = 1.1  # of the bytes of the tensors: file headers, and what others write meanwhile


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint that was verified: its hashes were right and its files could be read.

    `best` is the step of the best weights when it was saved, None before the first best (or
    when the best was lost to damage, so that the next evaluation is the best again).
    """

    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]
    best: int | None
    path: Path


class Checkpoints:
    """The checkpoints of one run. The caller holds the lock of the run folder.

    What a killed process left half done is tidied up when the folder is opened.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run:
    ...     saves = Checkpoints(Path(run) / "ckpt")
    ...     _ = saves.save(5, {"w": torch.ones(2)}, {"progress": {"step": 5}}, best=True)
    ...     saves.wait()
    ...     newest = saves.newest()
    ...     newest.step, newest.best, newest.state
    (5, 5, {'progress': {'step': 5}})
    """

    def __init__(self, folder: Path, *, keep: int = 3, anchor_steps: int | None = None) -> None:
        """`anchor_steps`: of the checkpoints at multiples of it the first and the newest few are
        kept besides, to go back to."""
        assert keep >= 1
        self.folder = folder
        self.keep = keep
        self.anchor_steps = anchor_steps
        self.damaged: list[tuple[str, str]] = []
        """(name, reason) of what was found damaged and moved to `ckpt/damaged/`."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        atomic.make_folder(folder)
        with atomic.explained(folder):
            self._tidy()
        self._best = step_of(self._best_path)
        self._copies = Copies()

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        best: bool = False,
    ) -> Path:
        """Copy `weights` and `state` now and write them in the background.

        `state` holds tensors, numbers, strings, lists and dicts; `best` says that these are
        the best weights so far. A save still under way is awaited first, and its failure is
        raised here: `ExhaustedError` when the disk is full or cannot be written. Returns the
        folder that will be there after `wait`.
        """
        self.wait()
        needed = int(_ROOM * (num_bytes(weights) + num_bytes(state)))
        with atomic.explained(self.folder, needed=needed):
            if atomic.free_bytes(self.folder) < needed:
                raise atomic.full(self.folder, needed)
        with _memory_explained(needed):
            copies = {name: self._copies.weight(tensor, name) for name, tensor in weights.items()}
            copied_state = self._copies.state(state)
        ties = ties_of(weights)
        if best:
            self._best = step
        self._pending = self._writer.submit(
            self._write, step, copies, ties, copied_state, self._best
        )
        return self._path(step)

    def wait(self) -> None:
        """Wait for the save under way; raises what went wrong with it."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except NetwrightError:
            # The best may be lost with this save: it is again what the newest one on disk says.
            self._best = next(map(_best_of, map(self._path, reversed(self.steps()))), None)
            raise

    def close(self) -> None:
        """Wait for the save under way and end the thread; raises what went wrong."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, oldest first, verified or not."""
        found = (_FOLDER.fullmatch(entry) for entry in os.listdir(self.folder))
        return sorted(int(match[1]) for match in found if match)

    def newest(self, at_most: int | None = None) -> Checkpoint | None:
        """The newest checkpoint that verifies (at or before step `at_most`), or None.

        Damaged ones on the way are set aside and named in `damaged`. Without `at_most`,
        `best.safetensors` is the best of the checkpoint's time afterwards, also when the
        process was killed between the checkpoint and the link, or a later best is damaged.
        """
        self.wait()
        for step in reversed(self.steps()):
            if at_most is not None and step > at_most:
                continue
            try:
                checkpoint = read_checkpoint(self._path(step))
            except CheckpointError as error:
                self._set_aside(self._path(step), error)
                continue
            return self._settle_best(checkpoint) if at_most is None else checkpoint
        return None

    def forget_after(self, step: int) -> None:
        """Go back for good: remove every later checkpoint, and return to the best of that time."""
        self.wait()
        with atomic.explained(self.folder):
            # The newest first: a process killed in between goes on from an earlier one.
            for later in reversed(self.steps()):
                if later > step:
                    self._remove(self._path(later))
        found = self.newest()
        if found is not None and found.best is None:
            with atomic.explained(self._best_path):
                atomic.disk.remove(self._best_path)  # the best of what is forgotten

    @property
    def _best_path(self) -> Path:
        return self.folder.parent / BEST

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"

    # --- writing: in the background thread ---------------------------------------------------

    def _write(
        self,
        step: int,
        weights: dict[str, Tensor],
        ties: dict[str, str],
        state: dict[str, Any],
        best: int | None,
    ) -> None:
        target = self._path(step)
        with _memory_explained(num_bytes(weights) + num_bytes(state)):
            contents: _Contents = {
                WEIGHTS: pack(weights, ties=ties, step=step, best=best),
                STATE: (_dump(state),),
            }
        needed = sum(len(part) for parts in contents.values() for part in parts)
        with atomic.explained(target, needed=needed):
            self._put(target, step, contents)
            if best == step:
                self._point_best(step)
            self._retire()

    def _put(self, target: Path, step: int, contents: _Contents) -> None:
        """Write a checkpoint beside its place and rename it; on an error nothing has changed."""
        beside, old = _hidden(target, "writing"), _hidden(target, "removing")
        try:
            _write_folder(beside, step, contents)
            if target.exists():  # saved before at this step: the later save counts
                atomic.disk.rename(target, old)
            atomic.disk.rename(beside, target)
            atomic.disk.sync(self.folder)
        except OSError:
            with contextlib.suppress(OSError):
                if old.exists() and not target.exists():
                    atomic.disk.rename(old, target)
                atomic.disk.remove(beside)
            raise

    def _point_best(self, step: int) -> None:
        """Make `best.safetensors` the weights of `step`: by a hard link, else by a copy."""
        source, target = self._path(step) / WEIGHTS, self._best_path
        beside = _hidden(target, "writing")
        atomic.disk.remove(beside)
        try:
            atomic.disk.link(source, beside)
        except OSError:  # a file system without hard links; a full one fails again at the copy
            atomic.write_bytes(target, source.read_bytes())
            return
        atomic.disk.rename(beside, target)
        # Between two names of one file a rename does nothing, and leaves both.
        atomic.disk.remove(beside)
        atomic.disk.sync(target.parent)

    def _retire(self) -> None:
        steps = self.steps()
        kept = set(steps[-self.keep :])
        if self.anchor_steps is not None:
            anchors = [each for each in steps if each % self.anchor_steps == 0]
            kept |= {*anchors[:1], *anchors[-ANCHORS:]}
        kept |= {best for step in kept if (best := _best_of(self._path(step))) is not None}
        for step in steps:
            if step not in kept:
                self._remove(self._path(step))
        for entry in self.folder.glob(".step-*.removing"):
            atomic.disk.remove(entry)

    def _remove(self, path: Path) -> None:
        """Take a checkpoint away at once, so that a kill never leaves a part of one."""
        hidden = _hidden(path, "removing")
        atomic.disk.rename(path, hidden)
        atomic.disk.remove(hidden)

    # --- mending: when the folder is opened --------------------------------------------------

    def _tidy(self) -> None:
        """Finish or undo what a killed process left: complete folders get their name."""
        for entry in sorted(self.folder.glob(".step-*.writing")):
            target = self.folder / entry.name.removeprefix(".").removesuffix(".writing")
            if not target.exists() and _verifies(entry, target.name):
                atomic.disk.rename(entry, target)
                atomic.disk.sync(self.folder)
            else:
                atomic.disk.remove(entry)
        for entry in sorted(self.folder.glob(".step-*.removing")):
            atomic.disk.remove(entry)
        atomic.disk.remove(_hidden(self._best_path, "writing"))

    def _settle_best(self, checkpoint: Checkpoint) -> Checkpoint:
        best = checkpoint.best
        if best is not None and not _holds(self._best_path, best):
            path = self._path(best)
            try:
                if best != checkpoint.step:
                    read_checkpoint(path)
                with atomic.explained(self._best_path):
                    self._point_best(best)
            except CheckpointError as error:
                best = None
                for lost in (path, self._best_path):
                    if os.path.lexists(lost):
                        self._set_aside(lost, error)
        self._best = best
        return replace(checkpoint, best=best)

    def _set_aside(self, path: Path, error: CheckpointError) -> None:
        damaged = self.folder / "damaged"
        target, count = damaged / path.name, 1
        while os.path.lexists(target):
            count += 1
            target = damaged / f"{path.name}-{count}"
        with atomic.explained(target):
            atomic.disk.make_folder(damaged)
            atomic.disk.rename(path, target)
            atomic.disk.sync(self.folder)
        self.damaged.append((path.name, str(error.values["reason"])))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint in `path`, every hash compared.

    Nothing in it is executed: weights are safetensors, the state is read as tensors and plain
    values only. Raises `CheckpointError`, whose `reason` says what is damaged.
    """
    return _read(path, path.name)


def _read(path: Path, name: str) -> Checkpoint:
    match = _FOLDER.fullmatch(name)
    assert match is not None
    contents = verified(path, step=int(match[1]), name=name, files=(WEIGHTS, STATE))
    try:
        weights, facts = unpack(contents[WEIGHTS])
        state = torch.load(io.BytesIO(contents[STATE]), map_location="cpu", weights_only=True)
    except UnreadableWeightsError as error:
        raise damage(name, f"{WEIGHTS}: {error}") from error
    except _UNREADABLE as error:
        raise damage(name, f"{STATE}: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise damage(name, say("{file} holds no state", file=STATE))
    return Checkpoint(step=facts.step, weights=weights, state=state, best=facts.best, path=path)


# What `torch.load` raises for bytes that it did not write itself.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    OSError,
    struct.error,
    MemoryError,
)


def _verifies(path: Path, name: str) -> bool:
    if not _FOLDER.fullmatch(name):
        return False
    try:
        _read(path, name)
    except CheckpointError:
        return False
    return True


def _holds(path: Path, step: int) -> bool:
    """Whether the weights file at `path` verifies and is of `step`."""
    if step_of(path) != step:
        return False
    try:
        read_weights(path)
    except CheckpointError:
        return False
    return True


def _best_of(path: Path) -> int | None:
    return step_of(path / WEIGHTS, fact="best")


def _hidden(path: Path, why: str) -> Path:
    """A name beside `path` that no reader takes for a checkpoint."""
    return path.with_name(f".{path.name}.{why}")


_Contents: TypeAlias = Mapping[str, tuple[bytes | memoryview, ...]]


def _write_folder(folder: Path, step: int, contents: _Contents) -> None:
    """Write every file and, last, the manifest, each forced to the disk, then the folder."""
    atomic.disk.remove(folder)
    atomic.disk.make_folder(folder)
    for file, parts in contents.items():
        atomic.disk.write(folder / file, *parts)
        atomic.disk.sync(folder / file)
    atomic.disk.write(folder / MANIFEST, manifest_of(step, contents))
    atomic.disk.sync(folder / MANIFEST)
    atomic.disk.sync(folder)


def _dump(state: dict[str, Any]) -> bytes:
    # Into memory: torch that writes to a full disk itself says "unexpected pos 64 vs 0".
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@contextlib.contextmanager
def _memory_explained(needed: int) -> Any:
    """Turn what torch and Python raise when memory is used up into an `ExhaustedError`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise ExhaustedError(
            "No memory left to copy a checkpoint of {needed} bytes.",
            hint="Use a smaller model or batch; the last checkpoint is kept.",
            needed=needed,
        ) from error
