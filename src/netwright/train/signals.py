"""Signals that ask a run to stop: the handler only sets a flag, the loop acts between two steps.

A save inside a handler would run in the middle of whatever the signal interrupted: a half
updated optimizer, or a lock that this very thread already holds.
"""

from __future__ import annotations

import abc
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from netwright.core.languages import say

# SIGUSR1 is Slurm's early warning, SIGHUP comes when the terminal is closed.
_ASKED_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Stops(abc.ABC):
    """While the block lasts, signals that ask to stop go to `handle`; the handlers of before come
    back at the end.

    A SIGHUP that is ignored, as under nohup, stays so. Python lets only the main thread handle
    signals, so in any other thread the block is inert.
    """

    def __init__(self) -> None:
        text = say("Left at once; the last checkpoint is kept.")
        self._farewell = f"\r\x1b[K{text}\n".encode()
        self._before: dict[int, Any] = {}

    @abc.abstractmethod
    def handle(self, number: int, frame: FrameType | None) -> None:
        """Act on signal `number`, between two instructions of whatever was under way."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _ASKED_TO_STOP:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self.handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None: a handler that was not set from Python, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def leave(self) -> NoReturn:
        """End this process as a second Ctrl-C wants it."""
        # Straight to the descriptor: a handler may have interrupted another write.
        os.write(2, self._farewell)
        os._exit(130)


class SignalFlag(Stops):
    """While the block lasts, SIGINT, SIGTERM, SIGUSR1 and SIGHUP set `pending` and do nothing else.

    A second Ctrl-C leaves at once with status 130.

    >>> with SignalFlag() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.pending, stop.exit_code
    (15, 143)
    """

    def __init__(self) -> None:
        super().__init__()
        self.pending: int | None = None
        """The number of the first signal that came, or None."""
        self._interrupts = 0
        self._owner = os.getpid()

    @property
    def exit_code(self) -> int:
        """What the process should end with: 130 after Ctrl-C, 143 after the others."""
        return 130 if self.pending == signal.SIGINT else 143

    def handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            _in_a_forked_child(number)
            return
        if self.pending is None:
            self.pending = number
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 1:
                self.leave()


def _in_a_forked_child(number: int) -> None:
    """A worker process inherits the handler: Ctrl-C is its parent's to act on, the rest end it."""
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
