"""When the conditions are asked, besides the rounds of a watch, so that a fault is not left alone
for long."""

from __future__ import annotations

APART, FARTHEST = 10, 640
"""Steps between two questions while the loss has risen; twice as many each time nothing came of
it, up to the second."""

EVERY = 20
"""Steps between two questions otherwise, at the least."""

SHARE = 0.2
"""Of the steps so far, between two questions otherwise."""


class Asking:
    """
    >>> asking = Asking()
    >>> [step for step in range(1, 100) if asking.due(step, risen=step > 50)]
    [20, 40, 51, 71]
    """

    def __init__(self, *, every: int | None = None, after: int = 0) -> None:
        """`every`: steps between two questions while nothing seems wrong."""
        self._every = every
        self._last, self._gap = after, APART

    def due(self, step: int, *, risen: bool) -> bool:
        """Whether it is time after step `step`; true once for each question."""
        every = self._every or max(EVERY, int(SHARE * step))
        if step - self._last < (self._gap if risen else every):
            return False
        self._last = step
        self._gap = min(2 * self._gap, FARTHEST) if risen else APART
        return True

    def gone_back(self, step: int) -> None:
        """The training is at `step` again."""
        self._last, self._gap = step, APART
