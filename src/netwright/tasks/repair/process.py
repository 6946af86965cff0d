"""A script that runs in a process of its own, seen from the parent."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from netwright.tasks.doctored import Doctored
from netwright.tasks.repair.jobs import Ended, Job, Mark, Message, Shown, Told

CHILD = Path(__file__).with_name("child.py")

GRACE = 10.0
"""Seconds that a process gets to end after it was told to."""


class Process:
    """`heard` is told of what is not a mark. Ends, however the block ends that it is used in."""

    def __init__(
        self,
        job: Job,
        *,
        shown: bool = False,
        aside: bool = False,
        heard: Callable[[Told | Shown], None] | None = None,
    ) -> None:
        """With `shown` it has the streams of this process, with `aside` both of its outputs go to
        standard error; else nobody hears it."""
        self.marks: list[Mark] = []
        self.done: Doctored | None = None
        self.seconds = 0.0
        self._heard = heard
        self._connection: Connection[Any, Any]
        self._connection, theirs = Pipe()
        nothing = None if shown else subprocess.DEVNULL
        output: Any = nothing
        if shown and aside:
            output = 2
        try:
            self._popen = subprocess.Popen(
                [sys.executable, str(CHILD), str(theirs.fileno())],
                stdin=nothing,
                stdout=output,
                stderr=nothing,
                pass_fds=[theirs.fileno()],
            )
        finally:
            theirs.close()
        with contextlib.suppress(OSError):
            self._connection.send(job)

    @property
    def last(self) -> Mark | None:
        return self.marks[-1] if self.marks else None

    @property
    def over(self) -> bool:
        """Whether it has come to its end, or was ended."""
        return self.done is not None or self._popen.poll() is not None or self._connection.closed

    def until_mark(self, seconds: float) -> Mark | None:
        """Its next mark, or the last one of a run that ends; None where none comes in that time
        or the process has gone."""
        began = time.monotonic()
        try:
            while True:
                left = seconds - (time.monotonic() - began)
                if left <= 0 or not self._connection.poll(min(left, 3600)):
                    if left <= 0 or seconds - (time.monotonic() - began) <= 0:
                        self.kill()
                        return None
                    continue
                message: Message = self._connection.recv()
                if isinstance(message, Mark):
                    self.marks.append(message)
                    return message
                if isinstance(message, Ended):
                    self.done = message.done
                    return None
                if self._heard is not None:
                    self._heard(message)
        except (EOFError, OSError):
            return None
        finally:
            self.seconds += time.monotonic() - began

    def go_on(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.send("go")

    def stop(self) -> None:
        """It ends at the mark where it rests, and tells what came of it."""
        if not self._connection.closed:
            with contextlib.suppress(OSError):
                self._connection.send("stop")
            self.wait(GRACE)
        self.kill()

    def wait(self, seconds: float) -> None:
        """Hear it to its end."""
        began = time.monotonic()
        while self.done is None and not self._connection.closed:
            left = seconds - (time.monotonic() - began)
            if self.until_mark(left) is None:
                break

    @property
    def status(self) -> int:
        """Its exit status; waits for the end of the process."""
        try:
            code = self._popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._popen.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        self._connection.close()
        if self._popen.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(0.05 if self.done is None else GRACE)
            self._popen.kill()
        self._popen.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
