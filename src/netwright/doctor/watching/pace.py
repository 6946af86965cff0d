"""How often a step may be looked at closely, so that watching keeps within its budget.

The watcher measures its own time. Looks are dense at first, when most faults show, then so far
apart that all it does takes no more than `budget` of the training's own time.
"""

from __future__ import annotations

import math
import time

FIRST_LOOKS = 3
"""Steps at the very beginning that are looked at one after another."""

CREDIT = 1.0
"""Seconds of looking that may run ahead of the budget: the first minute of a run is worth it."""

CLOSEST = 10
"""Steps between two looks at the least, after the first ones."""


class Pace:
    """Chooses the steps to look at, from what looks have cost so far."""

    def __init__(self, budget: float = 0.02, *, every: int | None = None) -> None:
        """`budget` is the share of the training's own time; `every` looks at each such step,
        whatever it costs."""
        self.budget = budget
        self.every = every
        self.hooks = 0.0
        self.looks = 0.0
        self.looked = 0
        self.steps = 0
        self.interval = 1
        self._began = time.perf_counter()
        self._away = 0.0
        self._next = 1

    @property
    def seconds(self) -> float:
        """Since the first step began, without what is left out."""
        return time.perf_counter() - self._began - self._away

    def leave_out(self, seconds: float) -> None:
        """Time that is neither the training's nor the looks': a check-up, made inside a hook that
        will count the time it took as its own."""
        self._away += seconds
        self.hooks -= seconds

    def due(self, step: int) -> bool:
        """Whether step `step` (from 1) is to be looked at."""
        return step >= self._next

    def looked_at(self, step: int, seconds: float) -> None:
        """A look at `step` took `seconds`; says when the next one is."""
        self.looked += 1
        self.looks += seconds
        if self.every is not None:
            self.interval = self.every
        elif self.looked < FIRST_LOOKS:
            self.interval = 1
        else:
            self.interval = self._affordable(step)
        self._next = step + self.interval

    def _affordable(self, step: int) -> int:
        own = self.hooks + self.looks
        training = max(1e-9, self.seconds - own)
        per_step = training / max(1, step)
        allowed = max(0.0, self.budget * per_step - self.hooks / max(1, step))
        per_look = self.looks / max(1, self.looked)
        if self.budget * training + CREDIT > own and step < 1000:
            return CLOSEST
        if allowed <= 0:
            return max(CLOSEST, 1000)
        return max(CLOSEST, math.ceil(per_look / allowed))
