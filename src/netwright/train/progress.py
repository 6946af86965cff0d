"""What a run remembers between two steps: how far it is, how well it did, what its steps told.

Plain numbers, which every checkpoint holds whole; so a run goes on from any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from netwright.train.task import Goal


@dataclass(kw_only=True)
class Progress:
    """Where the loop stands.

    >>> progress = Progress()
    >>> progress.took({"loss": 3.0})
    >>> progress.took({"loss": 1.0})
    >>> progress.step, progress.means()
    (2, {'train/loss': 2.0})
    """

    step: int = 0
    best: dict[str, Any] | None = None
    waited: int = 0
    """Evaluations since the best one."""
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """What steps told since the last line of metrics: the sum of each name, and over how many."""
    stopped: str = ""
    """Why the run ended before its last step, "" while it has not."""

    def took(self, values: Mapping[str, Tensor | float]) -> None:
        """One step more, which told `values`."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1
        self.step += 1

    def means(self) -> dict[str, float | None]:
        """The mean of each name since the last line of metrics."""
        return {
            name if "/" in name else f"train/{name}": finite(total / self.counts[name])
            for name, total in self.sums.items()
        }

    def begin_line(self) -> None:
        """A line of metrics was written: what steps tell from now on belongs to the next."""
        self.sums, self.counts = {}, {}

    def judge(self, value: float | None, goal: Goal, *, epoch: int, newest: bool) -> bool:
        """Whether the state after this step, which `goal` gives `value`, is the best so far, or,
        with `newest`, takes its place as the newest that has one; remembered."""
        standing = self.best["value"] if self.best else None
        best = value is not None and (newest or goal.better(value, standing))
        if best:
            self.best = {"metric": goal.metric, "value": value, "epoch": epoch, "step": self.step}
        self.waited = 0 if best else self.waited + 1
        return best


def finite(value: float) -> float | None:
    """`value` as a line of metrics has it: none where it is not finite."""
    return float(value) if math.isfinite(value) else None
