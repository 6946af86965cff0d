"""How often a step may be looked at closely, so that watching keeps within its budget.

The watcher measures its own time. Looks are dense at first, when most faults show, then so far
apart that all it does takes no more than `budget` of the training's own time.
"""

from __future__ import annotations

import math
import time

FIRST_LOOKS = 3
"""Steps at the very beginning that are looked at one after another."""

CREDIT = 0.05
"""Seconds of looking that may run ahead of the budget: the first steps of a run are worth it."""

AWAKE = 32
"""First steps at which all that is done is heard, whatever it costs."""

BLOCK = 256
WINDOW = 4
"""Later, where that costs more than a part of the budget: so many steps in a row of each block."""

PART = 0.25
"""Of the budget, for what the hooks do at steps that are not looked at."""

LOOKS = 0.3
"""Of the budget, for looks beside those that are promised."""

LEFT = 0.05
"""Of the budget, for such looks where the hooks take all of it."""

CLOSEST = 10
"""Steps between two looks at the least, after the first ones."""

LIGHT = 0.3
"""What the hooks take at steps at which not all is heard, of the others: until it is measured."""


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
        self._awake = self._asleep = 0.0
        """What the hooks of a step take, when all is heard and when it is not."""
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

    def wakes(self, step: int) -> int:
        """The next step, from `step` (from 1) on, of which all is to be heard, not its loss alone.

        Where hearing all is cheap beside the step that is every one. Else the blocks of steps each
        have their window, at a place of its own: the rhythm of an epoch must not hide in theirs.
        """
        if step <= AWAKE or step >= self._next:
            return step
        own = self.hooks + self.looks
        if self._awake <= PART * self.budget * max(0.0, self.seconds - own) / step:
            return step
        block = step // BLOCK
        for each in (block, block + 1):
            window = BLOCK * each + each * 0x9E3779B1 % (BLOCK - WINDOW)
            if step < window + WINDOW:
                break
        return min(max(step, window), self._next)

    def gone_back(self, step: int) -> None:
        """The loop is back at `step`: look at the next one."""
        self.steps, self._next = step, step + 1

    def heard(self, seconds: float, steps: int = 1, *, everything: bool) -> None:
        """The hooks of some steps without a look took `seconds`."""
        if everything:
            self._awake += 0.1 * (seconds - self._awake) if self._awake else seconds
        elif steps:
            self._asleep = seconds / steps

    def looked_at(self, step: int, seconds: float) -> None:
        """A look at `step` took `seconds`; says when the next one is."""
        self.steps = step
        self.looked += 1
        self.looks += seconds
        if self.every is not None:
            self.interval = self.every
        elif self.looked < FIRST_LOOKS:
            self.interval = 1
        else:
            self.interval = min(self._affordable(step), _promised(step) - step)
        self._next = step + self.interval

    def _affordable(self, step: int) -> int:
        """Steps until all that was spent, with one more look, is within the budget again."""
        training = max(1e-9, self.seconds - self.hooks - self.looks)
        per_look = self.looks / max(1, self.looked)
        per_step = self.budget * training / max(1, step)
        hooks = self._asleep or LIGHT * self._awake
        # Where the hooks alone take the budget a part of it is left to the looks all the same.
        income = max(min(per_step - hooks, LOOKS * per_step), LEFT * per_step)
        whole = self.budget * training
        earned = max(min(whole - self.hooks, LOOKS * whole), LEFT * whole)
        debt = self.looks + per_look - CREDIT - earned
        return max(CLOSEST, math.ceil(debt / income))


def _promised(step: int) -> int:
    """The next step after `step` that is looked at whatever the clock says: 10, 20, 40, 80, ...; so
    what is found early on does not hang on how fast a machine is.

    >>> [_promised(step) for step in (3, 10, 33, 40)]
    [10, 20, 40, 80]
    """
    each = CLOSEST
    while each <= step:
        each *= 2
    return each
