"""A script that runs in a process of its own, seen from the parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from netwright.core.linux import descendants, end_all
from netwright.tasks.doctored import Doctored
from netwright.tasks.repair.jobs import Ended, Job, Mark, Message, Shown, Told

CHILD = Path(__file__).with_name("child.py")

GRACE = 10.0
"""Seconds that a process gets to end after it was told to."""


class Server:
    """Makes processes that have torch already: a copy takes milliseconds, an import seconds. It is
    started with the first one, and ends with the block that it is used in."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None

    def make(self, descriptor: int) -> int:
        """A new process with a connection; its number."""
        socket.send_fds(self._started(), [b"new"], [descriptor])
        return int(self._answer())

    def bury(self, process: int) -> None:
        """End a process and all that it has started, and wait for it."""
        with contextlib.suppress(OSError, ValueError):
            os.killpg(process, signal.SIGKILL)  # its number is its own until it is waited for
            self._started().sendall(b"%d\n" % process)
            self._answer()

    def _started(self) -> socket.socket:
        if self._door is None:
            self._door, theirs = socket.socketpair()
            with theirs:
                self._popen = subprocess.Popen(
                    [sys.executable, str(CHILD), "serve", str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
        return self._door

    def _answer(self) -> bytes:
        assert self._door is not None
        text = b""
        while not text.endswith(b"\n"):
            part = self._door.recv(64)
            if not part:
                raise OSError("the process that makes others has gone")
            text += part
        return text

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self._door is not None:
            self._door.close()
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()


class Process:
    """`heard` is told of what is not a mark. Ends, however the block ends that it is used in."""

    def __init__(
        self,
        job: Job,
        *,
        shown: bool = False,
        aside: bool = False,
        heard: Callable[[Told | Shown], None] | None = None,
        server: Server | None = None,
    ) -> None:
        """With `shown` it has the streams of this process, with `aside` both of its outputs go to
        standard error; else nobody hears it, and a `server` may make it."""
        self.marks: list[Mark] = []
        self.done: Doctored | None = None
        self.seconds = 0.0
        self._gone = False
        self._behind: dict[int, str] = {}
        self._heard = heard
        self._connection: Connection[Any, Any]
        self._connection, theirs = Pipe()
        self._server, self._made = server, 0
        if server is not None:
            with theirs:
                self._made = server.make(theirs.fileno())
            self._send(job)
            return
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
        self._send(job)

    @property
    def last(self) -> Mark | None:
        return self.marks[-1] if self.marks else None

    @property
    def steps(self) -> int:
        """How many it has taken, as far as is known."""
        return self.marks[-1].step if self.marks else 0

    @property
    def over(self) -> bool:
        """Whether it has come to its end, or was ended."""
        return self.done is not None or self._gone or self._connection.closed

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
            self._gone = True
            return None
        finally:
            self.seconds += time.monotonic() - began

    def _send(self, message: Job | str) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def go_on(self) -> None:
        self._send("go")

    def stop(self) -> None:
        """It ends at the mark where it rests, and tells what came of it."""
        if not self._connection.closed:
            self._look_behind()
            self._send("stop")
            self.wait(GRACE)
        self.kill()

    def interrupt(self) -> None:
        """What Ctrl-C says to it."""
        if self._server is None and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGINT)

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

    def _look_behind(self) -> None:
        """A run that is ended before its end leaves processes that it would have ended itself."""
        if self._server is None:  # else its group is known
            self._behind.update(descendants(self._popen.pid))

    def kill(self) -> None:
        if self.done is None or self.done.ending.why == "enough":
            self._look_behind()
        self._connection.close()
        if self._server is not None:
            if self._made:
                self._server.bury(self._made)
            self._made = 0
            return
        if self._popen.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(0.05 if self.done is None else GRACE)
            self._popen.kill()
        self._popen.wait()
        end_all(self._behind)
        self._behind.clear()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
