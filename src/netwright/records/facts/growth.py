"""Memory over the steps, and losses that are still there although their step is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact


@fact("growth")
@dataclass(frozen=True, kw_only=True)
class Growth:
    """`memory` is what the process (or its graphics card) holds after the steps in `step`, in
    bytes. Of `graphs` losses whose graph was marked, `kept` still had it many steps later."""

    step: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(0))
    memory: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(0))
    graphs: int = 0
    kept: int = 0

    @property
    def bytes_per_step(self) -> float | None:
        """The slope over the later half, by the median of its pairwise slopes."""
        half = len(self.step) // 2
        steps, memory = self.step[half:], self.memory[half:]
        if len(steps) < 6:
            return None
        first, second = np.triu_indices(len(steps), 1)
        apart = steps[second] - steps[first]
        return float(np.median((memory[second] - memory[first])[apart > 0] / apart[apart > 0]))
