"""A schedule that turns the rates of another optimizer than the one that trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact


@fact("loose-schedule")
@dataclass(frozen=True, kw_only=True)
class LooseSchedule:
    """`rates` are the largest rates that it gives its own optimizer after 0, 1, 2, ... steps of the
    schedule, empty where that cannot be simulated; `rate` is the one that the training has."""

    kinds: tuple[str, ...]
    rate: float
    rates: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(0))
