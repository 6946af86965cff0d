"""What one of several seeds announces, as the listeners of all of them hear it."""

from __future__ import annotations

import signal

from netwright.core import events as e
from netwright.train.signals import SignalFlag


class SeedEvents(e.Events):
    """What one seed announces, told to the listeners of all; their requests reach its loop.

    A signal that came while no loop ran (the data were being read) is handed on once one does.
    """

    def __init__(self, outer: e.Events, signals: SignalFlag, *, tell: e.Listener) -> None:
        super().__init__(tell)
        self._outer = outer
        self._signals = signals

    def emit(self, event: e.Event) -> None:
        super().emit(event)
        pending, step = self._signals.pending, isinstance(event, e.StepEnded)
        if step and pending is not None:
            self._signals.pending = None
            signal.raise_signal(pending)

    def take_requests(self) -> list[e.Request]:
        return [*super().take_requests(), *self._outer.take_requests()]


def quietly(outer: e.Events) -> e.Listener:
    """Tells what happens, but of notes only warnings, and how a seed was taken up again."""

    def tell(event: e.Event) -> None:
        if not isinstance(event, e.Noted) or event.word in ("WARN", "STOP", "from"):
            outer.emit(event)

    return tell
