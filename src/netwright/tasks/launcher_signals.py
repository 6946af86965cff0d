"""Signals to the process that started the ranks: passed on to them; a second Ctrl-C leaves at once.

torch's launcher takes each further signal for a request to stop waiting for the ranks, and SIGHUP
for one to stop even under nohup. So the handlers are ours, and raise what torch's would raise.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from netwright.core.languages import say

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class PassedOn:
    """While the block lasts, the first signal that asks to stop raises torch's `SignalException`,
    by which its launcher passes the signal on and waits for the ranks. Further ones change nothing,
    but a second Ctrl-C ends this process, and with it the ranks.

    A SIGHUP that is ignored, as under nohup, stays so. In a thread that is not the main one the
    block is inert.
    """

    def __init__(self) -> None:
        self._seen: int | None = None
        text = say("Left at once; the last checkpoint is kept.")
        self._farewell = f"\r\x1b[K{text}\n".encode()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> PassedOn:
        if threading.current_thread() is threading.main_thread():
            for number in _PASSED_ON:
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        from torch.distributed.elastic.multiprocessing.api import SignalException

        if self._seen is None:
            self._seen = number
            raise SignalException(f"signal {number}", sigval=signal.Signals(number))
        if number == self._seen == signal.SIGINT:
            os.write(2, self._farewell)
            os._exit(130)
