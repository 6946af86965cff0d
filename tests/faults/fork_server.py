"""A fork server: imports torch and Netwright once, then forks one child for each trial.

Importing torch takes seconds; a fork takes milliseconds, so twenty killed runs cost twenty
runs and not twenty imports. The server itself never computes: torch's threads do not survive
a fork, and a child whose parent had started some would wait for them for ever.

    with ForkServer() as server:
        child = server.start(["train", "digits", "mlp"], cwd=folder)
        child.kill_when(lambda: (folder / "ckpt").exists())
        assert child.wait() == -9

    server.run("faults.programs:save", [str(folder)], cwd=folder)      # any function of strings
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

CLI = "netwright.cli:main"
_TESTS = Path(__file__).resolve().parents[1]


class Child:
    """One trial under way. Its process id stays its own until `wait` has told how it ended."""

    def __init__(self, server: ForkServer, pid: int, output: Path) -> None:
        self.pid = pid
        self.output = output
        """A file with all that the child printed."""
        self._server = server
        self._status: int | None = None

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._status is None:
            os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether the process has ended, told by the kernel."""
        return _state(self.pid) in ("Z", "")

    def kill_after(self, seconds: float, number: int = signal.SIGKILL) -> None:
        """Send `number` after `seconds`, or not at all when the child has ended by then."""
        end = time.monotonic() + seconds
        self.kill_when(lambda: time.monotonic() >= end, number=number)

    def kill_when(
        self, condition: Callable[[], bool], *, at_most: float = 60, number: int = signal.SIGKILL
    ) -> None:
        """Send `number` when `condition` holds, at the latest after `at_most` seconds."""
        if self.comes(condition, at_most=at_most):
            self.kill(number)

    def comes(self, condition: Callable[[], bool], *, at_most: float = 60) -> bool:
        """Wait until `condition` holds or time is up; false when the child ended before."""
        end = time.monotonic() + at_most
        while time.monotonic() < end and not condition():
            if self.ended():
                return False
            time.sleep(0.002)
        return not self.ended()

    def wait(self, timeout: float = 120) -> int:
        """The exit status, or minus the number of the signal that ended the child."""
        if self._status is None:
            end = time.monotonic() + timeout
            while not self.ended():
                if time.monotonic() > end:
                    self.kill()
                    raise TimeoutError(f"no end after {timeout} s:\n{self.text()}")
                time.sleep(0.002)
            self._status = self._server.ask({"wait": self.pid})["status"]
        return self._status

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def orphans(self, patience: float = 10) -> list[int]:
        """Processes of the child's session that are still alive `patience` seconds later."""
        end = time.monotonic() + patience
        while alive := [pid for pid in _processes() if _session(pid) == self.pid]:
            alive = [pid for pid in alive if pid != self.pid and _state(pid) not in ("Z", "")]
            if not alive or time.monotonic() > end:
                return alive
            time.sleep(0.02)
        return []


class ForkServer:
    """The client's end of a server process; `start` a trial or `run` one to its end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NETWRIGHT_LANG": "en"},
        )
        self._count = 0

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        call: str = CLI,
        output: Path | None = None,
    ) -> Child:
        """Fork a child in a session of its own that calls `module:function` with `argv`.

        What the function returns is the exit status; an exception is status 1 with its trace
        in the output.
        """
        self._count += 1
        output = output or cwd / f"output-{self._count}.txt"
        answer = self.ask(
            {"argv": list(argv), "cwd": str(cwd), "env": dict(env or {}), "call": call,
             "output": str(output)}
        )  # fmt: skip
        return Child(self, answer["pid"], output)

    def run(self, call: str, argv: Sequence[str], *, cwd: Path, timeout: float = 60) -> Child:
        child = self.start(argv, cwd=cwd, call=call)
        child.wait(timeout)
        return child

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _send(self._process.stdin, question)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(30)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _send(pipe: IO[bytes], message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message).encode() + b"\n")
    pipe.flush()


# --- the server's end ------------------------------------------------------------------------


def serve() -> None:
    """Answer requests, one line of JSON each, until the input ends."""
    sys.path.insert(0, str(_TESTS))
    _preload()
    answers = os.fdopen(os.dup(1), "wb")
    while request := sys.stdin.buffer.readline():
        question = json.loads(request)
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            _send(answers, {"status": os.waitstatus_to_exitcode(status)})
        else:
            pid = os.fork()
            if pid == 0:
                _be_child(question)
            _send(answers, {"pid": pid})


def _preload() -> None:
    import torch

    torch.set_num_threads(1)
    # Torch imports this with the first optimizer, and that takes longer than a whole run.
    importlib.import_module("torch._dynamo")
    importlib.import_module("netwright.cli")
    importlib.import_module("netwright.tasks.training")
    from netwright.cli.commands import COMMANDS
    from netwright.cli.commands.ls import FAMILIES
    from netwright.report.sections import SECTIONS

    families = [
        getattr(importlib.import_module(module), name) for module, name in FAMILIES.values()
    ]
    for family in (COMMANDS, SECTIONS, *families):
        family.names()  # reads every leaf
    # Remembered once for all children: else an edit between two trials makes a resume approximate.
    importlib.import_module("netwright.train.environment").environment_line()


def _be_child(question: dict[str, Any]) -> None:
    """Become what was asked for, and never return into the server's loop."""
    status = 1
    try:
        os.setsid()
        os.chdir(question["cwd"])
        os.environ.update(question["env"])
        output = os.open(question["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.closerange(3, 64)
        module, _, name = question["call"].partition(":")
        status = getattr(importlib.import_module(module), name)(question["argv"]) or 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


# --- what /proc knows ------------------------------------------------------------------------


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _facts(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # the name of a process may hold anything


def _state(pid: int) -> str:
    facts = _facts(pid)
    return facts[0] if facts else ""


def _session(pid: int) -> int:
    facts = _facts(pid)
    return int(facts[3]) if facts else -1


if __name__ == "__main__":
    serve()
