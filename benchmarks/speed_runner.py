"""Contenders as processes: several that train in turns, or one that trains to an accuracy."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed_setups import Setup

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Start:
    """What all processes are started with."""

    scratch: Path
    pythons: Mapping[str, Path]
    threads: int


class Runner(contextlib.AbstractContextManager["Runner"]):
    """One contender in a process of its own, which in a round of turns runs only when told to."""

    def __init__(self, words: Sequence[str], start: Start, environ: Mapping[str, str]) -> None:
        self.words = words
        self.bursts: list[dict[str, float]] = []
        self.seconds = 0.0
        self._folder = tempfile.TemporaryDirectory()
        self._start_with = start
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None

    def turn(self) -> dict[str, Any]:
        """Let it train until it stops again; what it says it took."""
        started = time.perf_counter()
        if self._process is None:
            self.start()
        else:
            self._go()
        found = self.hear()
        while "first_step" in found or "accuracy" in found:
            found = self.hear()
        self.seconds += time.perf_counter() - started
        return found

    def finish(self) -> dict[str, Any]:
        """Let it come to its end; its rates and what it used."""
        last = self.turn()
        started = time.perf_counter()
        assert self._process is not None
        if self._process.wait():
            self._failed()
        self.seconds += time.perf_counter() - started
        steps = sum(each["steps"] for each in self.bursts)
        each_ms = [1e3 * each["seconds"] / each["steps"] for each in self.bursts]
        return {
            "ms_per_step": 1e3 * sum(each["seconds"] for each in self.bursts) / steps,
            "processor_ms_per_step": 1e3 * sum(each["processor"] for each in self.bursts) / steps,
            "process_seconds": self.seconds,
            "burst_ms": [round(each, 4) for each in each_ms],
            **last,
        }

    def start(self) -> None:
        ear, mouth = os.pipe()
        folder = Path(self._folder.name)
        threads = str(self._start_with.threads)
        environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONPATH": str(HERE.parent / "src"),
            "NETWRIGHT_RUNS": str(folder / "runs"),
            # Compiled in the first round, taken from there in the others.
            "TORCHINDUCTOR_CACHE_DIR": str(self._start_with.scratch / "inductor"),
            **self._environ,
        }
        with (folder / "said.txt").open("w") as said:
            self._process = subprocess.Popen(
                [*self.words, f"--say={mouth}"],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=(mouth,),
                env=environment,
                cwd=folder,
                text=True,
            )
        os.close(mouth)
        self._ear = os.fdopen(ear)

    def hear(self) -> dict[str, Any]:
        """The next thing it says."""
        line = self._ear.readline()
        if not line:
            self._failed()
        found: dict[str, Any] = json.loads(line)
        return found

    def _failed(self) -> None:
        said = (Path(self._folder.name) / "said.txt").read_text()
        raise SystemExit(f"{' '.join(self.words)} failed:\n{said}")

    def _go(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has failed: the empty answer tells
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ear.close()
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._folder.cleanup()


def in_turns(runners: Mapping[str, Runner], bursts: int, number: int) -> dict[str, dict[str, Any]]:
    """All contenders once, burst by burst; who begins changes from burst to burst."""
    with contextlib.ExitStack() as stack:
        for each in runners.values():
            stack.enter_context(each)
            each.turn()  # until it is warm; the others stand still or have not begun
        order = list(runners.values())
        for turn in range(bursts):
            at = (turn + number) % max(1, len(order))
            for each in order[at:] + order[:at]:
                each.bursts.append(each.turn())
        return {name: each.finish() for name, each in runners.items()}


def to_goal(runner: Runner, setup: Setup) -> dict[str, Any]:
    """Train until the goal is evaluated, then end the process; the seconds that took.

    `goal` is None where the accuracy was not reached within the longest run.
    """
    assert setup.goal is not None
    found: dict[str, Any] = {"goal": None, "from_first_step": None}
    accuracies: list[float] = []
    with runner:
        started = first = time.perf_counter()
        runner.start()
        while True:
            told, now = runner.hear(), time.perf_counter()
            if "first_step" in told:
                first = now
            elif "accuracy" in told:
                accuracies.append(round(told["accuracy"], 4))
                if told["accuracy"] >= setup.goal:
                    found |= {"goal": now - started, "from_first_step": now - first}
                    break
            elif "val_acc1" in told:
                break
    return {**found, "until_first_step": first - started, "accuracies": accuracies}


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """Median, least and greatest."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} ({least:{form}} to {most:{form}})"
