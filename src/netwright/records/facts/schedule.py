"""The rates that a schedule will give, found by running it on a dummy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact


@fact("schedule")
@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`rates` are the largest rates of the groups after 0, 1, 2, ... steps of the schedulers
    together. Whether the loop steps them after every batch or every epoch is not known here."""

    kinds: tuple[str, ...]
    rates: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(0))

    @property
    def peak(self) -> float:
        return float(self.rates.max()) if len(self.rates) else 0.0
