"""Whether one batch can be fitted on a copy, at the rate that is set and around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class FitTrial:
    """`steps` steps on one batch at `factor` times the rate. `end` is the least loss of its last
    steps, NaN where one was not finite or ten thousand times the first."""

    factor: float
    steps: int
    start: float
    end: float
    rising: float = 0.0
    """Share of steps after which the loss was higher than before."""
    worst: float = 0.0
    """The largest finite loss on the way."""
    falling: float = 1.0
    """Fall over the last fifth of the steps, over the first loss: near 0 where it came to rest."""


@fact("fit")
@dataclass(frozen=True, kw_only=True)
class Fit:
    """One-batch trials on a copy of the model with a fresh optimizer of the same settings."""

    trials: tuple[FitTrial, ...]
    batch: int
    constant: float | None = None
    """The loss of the best constant on that very batch."""
    variants: Mapping[str, FitTrial] = field(default_factory=dict)
    """What else was tried where no rate fitted the batch: "adam" (Adam at 1e-3 instead), "free"
    (the rate that is set, without dropout and weight decay)."""

    complete: bool = True
    """Whether every rate got its steps. Of those that did not, for want of time, nothing is said,
    and nothing of what the batch cannot."""

    def at(self, factor: float) -> FitTrial | None:
        return next((each for each in self.trials if each.factor == factor), None)

    @property
    def best(self) -> FitTrial | None:
        """The trial that ended lowest."""
        finite = [each for each in self.trials if each.end == each.end]
        return min(finite, key=lambda each: each.end, default=None)
