"""The mean training loss of an epoch, for a schedule that watches it.

The loop keeps the same mean for its line of metrics, but has it only after the evaluation; what
a schedule answers to is state of the task, and has to go into its checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from netwright.optim.schedules import Watcher

NAME = "train/loss"


class EpochLoss:
    """A running mean since the last look at it.

    >>> seen = EpochLoss()
    >>> seen.add(3.0); seen.add(1.0)
    >>> seen.take()
    {'train/loss': 2.0}
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    @staticmethod
    def wanted_by(watcher: Watcher | None) -> EpochLoss | None:
        """A fresh one if `watcher` watches the training loss."""
        return EpochLoss() if watcher is not None and watcher.metric == NAME else None

    def add(self, loss: Tensor | float) -> None:
        """Take in the loss of one step."""
        self.total += float(loss)
        self.count += 1

    def take(self) -> dict[str, float]:
        """The mean by its name in `metrics.jsonl`; NaN if there was no step. Begins anew."""
        mean = self.total / self.count if self.count else float("nan")
        self.total, self.count = 0.0, 0
        return {NAME: mean}

    def state_dict(self) -> dict[str, Any]:
        """Two plain numbers, from which a resumed run goes on alike."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.total, self.count = float(state["total"]), int(state["count"])
