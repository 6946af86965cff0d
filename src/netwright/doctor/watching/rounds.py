"""When the facts are judged while a loop runs: soon at first, then ever more rarely."""

from __future__ import annotations

import time

FIRST = (1, 10, 30, 100, 300)
"""Steps after which the conditions are asked for the first times."""

FACTOR = 1.3

PAUSE = 2.0
"""Seconds between two later rounds at the least."""


class Rounds:
    """
    >>> rounds = Rounds(pause=0.0)
    >>> [step for step in range(1, 400) if rounds.due(step)]
    [1, 10, 30, 100, 300, 390]
    """

    def __init__(self, *, pause: float = PAUSE, after: int = 0) -> None:
        """`after`: the step from which on it is asked, in a loop that is not at its beginning."""
        later = after + max(1, min(FIRST[1], int((FACTOR - 1) * after)))
        self.next = next((each for each in FIRST if each > after), later)
        """The step before which there is none."""
        self._pause = pause
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether the conditions are to be asked after step `step`; true once for each round."""
        if step < self.next:
            return False
        now = time.monotonic()
        if step > FIRST[-1] and now - self._last < self._pause:
            return False
        self._last = now
        self.next = next((each for each in FIRST if each > step), int(FACTOR * step))
        return True
