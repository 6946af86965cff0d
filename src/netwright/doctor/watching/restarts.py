"""Weights that are loaded while a run is going on, and the losses round it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from netwright.records.facts.restarts import RestartFact, Restarts

ROUND = 10
"""Steps before and after that are compared."""

MOST = 32


@dataclass
class _Open:
    step: int
    before: list[float]
    optimizer: bool = False
    missing: float = 0.0
    after: list[float] = field(default_factory=list)


class RestartsSeen:
    """Told when weights and optimizer states are loaded, and every loss."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=ROUND)
        self._open: _Open | None = None
        self._found: list[RestartFact] = []

    def loaded(self, step: int, missing: float = 0.0) -> None:
        """`missing`: the share of the model's names that were not in what was loaded."""
        if len(self._losses) == ROUND and len(self._found) < MOST:
            optimizer = self._open is not None and self._open.optimizer
            before = self._open.before if self._open is not None else list(self._losses)
            self._open = _Open(step, before, optimizer, missing)

    def optimizer_loaded(self, step: int) -> None:
        if self._open is None:
            self.loaded(step)
        if self._open is not None:
            self._open.optimizer = True

    def loss(self, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            return
        self._losses.append(value)
        found = self._open
        if found is None:
            return
        found.after.append(value)
        if len(found.after) == ROUND:
            self._found.append(
                RestartFact(
                    step=found.step,
                    before=float(np.median(found.before)),
                    after=float(np.median(found.after)),
                    spread=float(np.std(found.before)),
                    optimizer=found.optimizer,
                    missing=found.missing,
                )
            )
            self._open = None

    def facts(self) -> Restarts:
        return Restarts(restarts=tuple(self._found))
