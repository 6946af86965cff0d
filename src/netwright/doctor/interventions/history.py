"""The losses and gradient norms of a training, from which the place to go back to is read."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch

MOST = 4096
"""Steps that are remembered."""

WINDOW = 5
"""Losses whose median stands for the place: one odd batch is no fault."""

NEAR = 0.1
"""Of the way from the least loss to the first: a loss within it is still sound."""

UNLEARNED = 0.9
"""Of the first loss: a run that never came below it has nothing to keep."""

BEYOND = 1.5
"""Times the first loss: what is above has left the valley."""

RISEN = 1.5
"""Times the least loss, of the median of the last ones: something may be wrong."""


class History:
    """
    >>> seen = History()
    >>> for loss in [2.0, 1.9, 1.8, 1.5, 1.2, 1.0, 0.9, 0.8, 0.8, 9.0, 9.0, 9.0, 9.0]:
    ...     seen.add(loss, 1.0)
    >>> seen.step, seen.sound_until, seen.risen
    (13, 9, True)
    """

    def __init__(self) -> None:
        self.step = 0
        """Steps taken so far."""
        self.losses: deque[float] = deque(maxlen=MOST)
        self.norms: deque[float] = deque(maxlen=MOST)
        self._least = math.inf

    def add(self, loss: float, norm: float = math.nan) -> None:
        self.step += 1
        self.losses.append(loss)
        self.norms.append(norm)
        if len(self.losses) >= WINDOW:
            self._least = min(self._least, self._latest)

    def cut(self, step: int) -> None:
        """Forget what came after that step."""
        while self.step > step:
            self.step -= 1
            if self.losses:
                self.losses.pop()
                self.norms.pop()
        self._least = min(self._smooth(), default=math.inf)

    @property
    def _latest(self) -> float:
        last = [self.losses[-each] for each in range(1, WINDOW + 1)]
        return statistics.median(each if math.isfinite(each) else math.inf for each in last)

    @property
    def risen(self) -> bool:
        """Whether the last losses stand well above the least: worth asking what is wrong."""
        if len(self.losses) < 2 * WINDOW:
            return False
        return self._latest > RISEN * self._least > 0

    @property
    def learned(self) -> bool:
        """Whether it had come clearly below where it began."""
        smooth = self._smooth()
        return bool(smooth) and min(smooth) < UNLEARNED * self._begin(smooth)

    def _begin(self, smooth: Sequence[float]) -> float:
        """Where the loss began: of small batches the median of a few, unless it has leapt away
        among these already."""
        first = self.losses[0]
        return first if smooth[0] > 2 * first else smooth[0]

    @property
    def sound_until(self) -> int:
        """The last step at which nothing was wrong yet: before the loss left its valley for good,
        or stood far above its beginning. 0 where nothing was ever learned."""
        smooth = self._smooth()
        if not smooth:
            return self.step
        begin, least = self._begin(smooth), min(smooth)
        if not math.isfinite(begin) or least >= UNLEARNED * begin:
            return 0
        place = self.step - len(smooth)
        bound = least + NEAR * (begin - least)
        near = max(index for index, each in enumerate(smooth) if each <= bound)
        far = next((index for index, each in enumerate(smooth) if each > BEYOND * begin), near)
        # What leapt far above its beginning and then learned for long has got over it.
        index = near if far >= near or near - far > 100 else far
        late = index == len(smooth) - 1
        return place + index + 1 if late else max(0, place + index + 1 - WINDOW // 2)

    def between(self, start: int, end: int) -> list[float]:
        """The losses of the steps after `start` up to `end`, those that are remembered."""
        first = self.step - len(self.losses)
        return list(self.losses)[max(0, start - first) : max(0, end - first)]

    def norms_until(self, step: int) -> list[float]:
        """The norms of the gradients up to that step, those that are remembered."""
        first = self.step - len(self.norms)
        return list(self.norms)[: max(0, step - first)]

    def _smooth(self) -> list[float]:
        """Medians of `WINDOW` losses, the first of the first ones."""
        losses = [each if math.isfinite(each) else math.inf for each in self.losses]
        return [
            statistics.median(losses[end - WINDOW : end]) for end in range(WINDOW, len(losses) + 1)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        return {
            "step": self.step,
            "losses": torch.tensor(list(self.losses), dtype=torch.float64),
            "norms": torch.tensor(list(self.norms), dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = int(state["step"])
        self.losses = deque(_floats(state["losses"]), maxlen=MOST)
        self.norms = deque(_floats(state["norms"]), maxlen=MOST)
        self._least = min(self._smooth(), default=math.inf)


def _floats(values: Any) -> Sequence[float]:
    return [float(each) for each in values]
