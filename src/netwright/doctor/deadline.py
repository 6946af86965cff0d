"""The time a check-up may take, as a probe sees it: what is left, what a pass costs, what is shed.

A probe asks before each piece of work whether it can be afforded, and sheds work while it can
still do some: fewer steps, fewer rates, a part of the batch. What it sheds is named, for silence
must not be taken for health.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from netwright.records.facts.left_out import Shed

BACKWARD = 2.0
"""A backward pass in forward passes. Measured on one thread: 1.2 to 1.5 (ResNet-20, batch 128),
2.7 (LeNet-5, batch 64)."""

STEP = 1.0 + BACKWARD
"""One training step in forward passes."""


class Deadline:
    """Runs from when it is made; without `seconds` it never comes.

    `forward` is what one forward pass of the first batch was seen to take, the least of all that
    were timed, for the first one of a process warms up caches; None as long as nobody timed one.

    >>> deadline = Deadline(0.0)
    >>> deadline.over, deadline.affords(0.1)
    (True, False)
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._end = time.perf_counter() + seconds
        self.forward: float | None = None
        self.probe = ""
        """Whose turn it is."""
        self.shed: list[Shed] = []

    @property
    def set(self) -> bool:
        """Whether it ever comes."""
        return self._end < math.inf

    @property
    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(0.0, self._end - time.perf_counter())

    @property
    def over(self) -> bool:
        return self.left <= 0

    def affords(self, seconds: float) -> bool:
        """Whether work of so many seconds would be done in time."""
        left = self.left
        return left > 0 and seconds <= left

    def passes(self, forwards: float) -> float:
        """What so many forward passes of the first batch take; 0 where that is not known."""
        return (self.forward or 0.0) * forwards

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """The block is one forward pass of the first batch."""
        began = time.perf_counter()
        yield
        self.forward = min(self.forward or math.inf, time.perf_counter() - began)

    def leave_out(self, what: str, done: int = 0, planned: int = 1) -> None:
        """`done` of `planned` pieces were done; `what` is one of `facts.left_out.WORK`."""
        self.shed.append(Shed(probe=self.probe, what=what, done=done, planned=planned))
