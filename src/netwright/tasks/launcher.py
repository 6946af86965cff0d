"""`devices=N` without torchrun: its engine is started from here, and again when a rank dies.

Each attempt is a launch of its own with a store of its own: ranks that are started anew inside one
torchrun share the store of the dead ones and meet their addresses (14 kills caused 14 failed
further attempts). Ranks go on from the newest checkpoint. A rank that fails with a message ends
the run: it would fail again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shlex
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from netwright.core import atomic, yaml_files
from netwright.core import events as e
from netwright.core.errors import (
    DataError,
    DivergedError,
    ExhaustedError,
    InterruptedRunError,
    NetwrightError,
    RankLostError,
    RunBusyError,
    SettingError,
)
from netwright.core.linux import busy, is_held
from netwright.records.run import Run
from netwright.tasks.computing import find_device
from netwright.tasks.launcher_signals import PassedOn
from netwright.tasks.rank_words import VARIABLE, last_words
from netwright.tasks.recipe import Recipe
from netwright.tasks.settings import Resolved
from netwright.train.joining import backend_of

FRUITLESS = 3
"""Attempts in a row without a new checkpoint, after which the run ends."""
_LOST = RankLostError.exit_code
_A_PROCESSOR = 4
"""Processes for each processor, at the most: more of them need memory and wait for each other."""
_TIMED_OUT = "timed out"  # in torch's words of a rank that was silent for too long
_STOPPED: Mapping[int, int] = {
    130: signal.SIGINT,
    143: signal.SIGTERM,
    -signal.SIGINT: signal.SIGINT,
    -signal.SIGTERM: signal.SIGTERM,
}
"""The status of a rank that was asked to stop, and the signal that asked it: SIGINT and SIGTERM end
a rank that has not begun its first step."""
_KINDS: Mapping[int, type[NetwrightError]] = {
    each.exit_code: each
    for each in (SettingError, DataError, DivergedError, ExhaustedError, RunBusyError)
}


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ended: all went well, or the rank that fell first, with its status: minus
    the number of a signal that killed it."""

    rank: int | None = None
    status: int = 0
    signal: int | None = None
    """The signal that came to the launcher, which passed it on."""

    @property
    def stopped(self) -> int | None:
        """The signal by which somebody stopped this attempt, if that is how it ended."""
        return _STOPPED.get(self.status, self.signal)

    @property
    def cause(self) -> str:
        if self.stopped is not None:
            return f"stopped by {_signal_name(self.stopped)}"
        if self.status < 0:
            return f"killed by {_signal_name(-self.status)}"
        if self.status == _LOST:
            return "silent or gone"
        return f"exit status {self.status}" if self.status else "done"


def launch(words: Sequence[str], recipe: Recipe, path: Path | None, events: e.Events) -> None:
    """Run `netwright` with `words` in as many ranks as the recipe has devices, until they have
    come through. `path` is the run folder; None for a rehearsal, which is not repeated.

    Raises `InterruptedRunError` after a signal, and what a rank ended with: marked as told, where
    the ranks have told it, whose standard error is that of this process. Raises `RankLostError`
    after three attempts without progress.
    """
    _refuse_missing_gpus(recipe)
    _refuse_crowd(recipe)
    if path is not None and is_held(path / ".lock"):  # else its attempts.jsonl would tell of ours
        raise busy(path)
    fruitless, number = 0, 0
    while True:
        number += 1
        before, started = _newest(path), time.time()
        with tempfile.TemporaryDirectory(prefix="netwright-ranks-") as place:
            end = _attempt(words, recipe, place)
            said = last_words(Path(place), recipe.general.devices)
            end = _seen(end, said)
        after = _newest(path)
        if path is not None and path.is_dir():
            _record(path, number, end, started=started, before=before, after=after, said=said)
        if end.stopped is not None:
            raise _interrupted(end.stopped, path, started=started, step=after)
        if end.status == 0:
            return
        if path is None or not (end.status < 0 or end.status == _LOST):
            raise _told(end, path)
        fruitless = 0 if after > before else fruitless + 1
        if fruitless >= FRUITLESS:
            raise RankLostError(
                "Rank {rank} was lost {count} times in a row without progress: {cause}.",
                hint="If it was killed for its memory, take a smaller batch or fewer "
                "data.workers. attempts.jsonl in the run folder tells of each attempt.",
                rank=str(end.rank),
                count=fruitless,
                cause=end.cause,
            )
        events.emit(
            e.Noted(
                word="WARN",
                template="Rank {rank} was lost ({cause}); all go on from step {step}.",
                values={"rank": end.rank, "cause": end.cause, "step": after},
            )
        )


def words_of(
    command: str, resolved: Resolved | None, run: Run | None, asked: Mapping[str, Any], place: Path
) -> list[str]:
    """The command line that a rank is given: the one that was typed, else one that says the same;
    a file of settings then goes into `place`."""
    if command:
        return shlex.split(command)[1:]
    if run is not None:
        settings = [f"{name}={json.dumps(value)}" for name, value in asked.items()]
        return ["train", "--resume", str(run.path), *settings]
    assert resolved is not None
    given = {n: v for n, v in resolved.plain().items() if resolved.origins[n] != "default"}
    file = place / "settings.yaml"
    file.write_text(yaml_files.write(given, comments={}), encoding="utf-8")
    return ["train", "--config", str(file)]


def _attempt(words: Sequence[str], recipe: Recipe, place: str) -> End:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    try:
        with _surroundings(recipe, place), PassedOn():
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=recipe.general.devices,
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",
                max_restarts=0,
                monitor_interval=0.1,
                signals_to_handle="SIGQUIT",  # the others are ours
            )
            elastic_launch(config, sys.executable)("-m", "netwright", *words)
    except SignalException as error:
        return End(signal=int(error.sigval))
    except ChildFailedError as error:
        found = {rank: int(each.exitcode) for rank, each in error.failures.items()}
        rank = min(found, key=lambda each: (_likeliness(found[each]), each))
        return End(rank=rank, status=found[rank])
    return End()


def _seen(end: End, said: Mapping[str, Sequence[str]]) -> End:
    """The end as the ranks that were left saw it: one that was silent for too long is killed by
    torch's launcher after they have ended, and was not killed by somebody."""
    lines = [line.lower() for words in said.values() for line in words[-4:]]
    if end.status == -signal.SIGKILL and any(_TIMED_OUT in line for line in lines):
        return End(rank=end.rank, status=_LOST)
    return end


def _likeliness(status: int) -> int:
    """How early a rank with this status stands among those that may have fallen first: ranks that
    miss another one end a moment after it, and torch's launcher sends SIGTERM to who is left."""
    if status == -signal.SIGTERM:
        return 3
    if status == _LOST:
        return 2
    return 0 if status < 0 else 1


@contextlib.contextmanager
def _surroundings(recipe: Recipe, place: str) -> Iterator[None]:
    """The variables that the ranks inherit, and torch's launcher silenced."""
    cores = max(1, len(os.sched_getaffinity(0)) // recipe.general.devices)
    changes = {
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        "NETWRIGHT_LAUNCHER": str(os.getpid()),
        VARIABLE: place,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores)),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
        # A step and its checkpoint may take longer than the 30 s after which torch kills.
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": os.environ.get(
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(math.ceil(recipe.run.rank_timeout))
        ),
    }
    before = {name: os.environ.get(name) for name in (*changes, "TORCHELASTIC_SIGNALS_TO_HANDLE")}
    quit_handler = signal.getsignal(signal.SIGQUIT)
    os.environ.update(changes)
    try:
        with _silenced("torch.distributed.elastic"):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        with contextlib.suppress(ValueError):  # another thread cannot, and nothing was changed
            signal.signal(signal.SIGQUIT, quit_handler or signal.SIG_DFL)


@contextlib.contextmanager
def _silenced(family: str) -> Iterator[None]:
    """No logger of this name or below it speaks; torch gives each of its own a level."""
    known = [name for name in logging.root.manager.loggerDict if name.startswith(family + ".")]
    loggers = [logging.getLogger(name) for name in (family, *known)]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _refuse_missing_gpus(recipe: Recipe) -> None:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device, devices = recipe.general.device, recipe.general.devices
    if there < devices and (device == "cuda" or (device == "auto" and there)):
        raise SettingError(
            "devices={devices} on GPUs, but torch sees {there}.",
            hint="Set devices={there}, or device=cpu.",
            devices=devices,
            there=there,
        )


def _refuse_crowd(recipe: Recipe) -> None:
    """What every rank would refuse, and more of them than a machine without GPUs can hold."""
    device = find_device(recipe.general.device, several=True)
    backend_of(recipe.run.backend, device)
    processors, devices = len(os.sched_getaffinity(0)), recipe.general.devices
    most = max(_A_PROCESSOR * processors, 8)
    if device.type == "cpu" and devices > most:
        raise SettingError(
            "devices={devices} on {processors} processors: each process holds torch and the "
            "network, and they would wait for each other.",
            hint="Set devices={processors} or fewer; more than {most} are refused.",
            devices=devices,
            processors=processors,
            most=most,
        )


def _newest(path: Path | None) -> int:
    """The step of the newest checkpoint, by its name; 0 where there is none."""
    names = [each.name for each in path.glob("ckpt/step-*")] if path is not None else []
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def _record(
    path: Path,
    number: int,
    end: End,
    *,
    started: float,
    before: int,
    after: int,
    said: Mapping[str, Sequence[str]],
) -> None:
    """One line of `attempts.jsonl`; a disk that refuses it ends no run."""
    line = {
        "attempt": number,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": round(time.time() - started, 3),
        "cause": end.cause,
        "rank": end.rank,
        "signal": _signal_name(-end.status) if end.status < 0 else None,
        "status": end.status,
        "from_step": before,
        "to_step": after,
        "said": dict(said) if end.cause != "done" else {},
    }
    with contextlib.suppress(OSError):
        atomic.disk.append(path / "attempts.jsonl", (json.dumps(line) + "\n").encode())


def _interrupted(number: int, path: Path | None, *, started: float, step: int) -> NetwrightError:
    """How a run ended that a signal stopped: the first rank has told it where it had begun."""
    status = 130 if number == signal.SIGINT else 143
    with contextlib.suppress(OSError):
        if path is not None and (path / "run.json").stat().st_mtime >= started - 1.0:
            run = Run(path)
            message = run.info.get("why_message")
            if run.status == "interrupted" and isinstance(message, Mapping):
                values = dict(message.get("values", {}))
                template = str(message.get("template", ""))
                return _marked(InterruptedRunError(template, exit_code=status, **values))
    name = "Ctrl-C" if number == signal.SIGINT else _signal_name(number)
    if path is None or not step:
        return InterruptedRunError(
            "Stopped by {signal} before the first checkpoint.", exit_code=status, signal=name
        )
    return InterruptedRunError(
        "Stopped by {signal}; the last checkpoint, of step {step}, is kept.",
        hint="Go on with:  netwright train --resume {run}",
        exit_code=status,
        signal=name,
        step=step,
        run=shlex.quote(str(path)),
    )


def _told(end: End, path: Path | None) -> NetwrightError:
    """What a rank has told the user of already, with its status and words."""
    message = Run(path).info.get("why_message") if path and (path / "run.json").exists() else None
    kind = _KINDS.get(end.status, NetwrightError)
    if isinstance(message, Mapping) and "template" in message:
        error = kind(str(message["template"]), **dict(message.get("values", {})))
    else:
        error = kind("Rank {rank} ended: {cause}.", rank=end.rank, cause=end.cause)
    error.exit_code = end.status if end.status > 0 else 1
    return _marked(error)


def _marked(error: NetwrightError) -> NetwrightError:
    error.of_other_rank = True  # type: ignore[attr-defined]
    return error


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


@contextlib.contextmanager
def settings_place() -> Iterator[Path]:
    """A folder for the settings of ranks that were asked for in Python."""
    with tempfile.TemporaryDirectory(prefix="netwright-ranks-") as place:
        yield Path(place)
