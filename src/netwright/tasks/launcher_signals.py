"""Signals to the process that started the ranks: passed on to them; a second Ctrl-C leaves at once.

torch's launcher takes each further signal for a request to stop waiting for the ranks, and SIGHUP
for one to stop even under nohup. So the handlers are ours, and raise what torch's would raise.
"""

from __future__ import annotations

import signal
from types import FrameType

from netwright.train.signals import Stops


class PassedOn(Stops):
    """While the block lasts, the first signal that asks to stop raises torch's `SignalException`,
    by which its launcher passes the signal on and waits for the ranks. Further ones change nothing,
    but a second Ctrl-C ends this process, and with it the ranks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        from torch.distributed.elastic.multiprocessing.api import SignalException

        if self._seen is None:
            self._seen = number
            raise SignalException(f"signal {number}", sigval=signal.Signals(number))
        if number == self._seen == signal.SIGINT:
            self.leave()
