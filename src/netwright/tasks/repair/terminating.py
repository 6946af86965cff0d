"""SIGTERM during a repair: it ends as by Ctrl-C, with what is known by then written."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType


class Terminating:
    """In its block SIGTERM raises `KeyboardInterrupt`; behind it the process ends by the signal,
    as whoever sent it expects. `asked` says that it has come."""

    def __init__(self) -> None:
        self.asked = False
        self._ours = False

    def __enter__(self) -> Terminating:
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        if self._ours:
            signal.signal(signal.SIGTERM, self._come)
        return self

    def _come(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first:  # what is written meanwhile is not cut off by another one
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.asked:
            os.kill(os.getpid(), signal.SIGTERM)
