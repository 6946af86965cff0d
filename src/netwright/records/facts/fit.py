"""Whether one batch can be fitted on a copy, at the rate that is set and around it."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class FitTrial:
    """`steps` steps on one batch at `factor` times the rate. `end` is the least loss of its last
    steps, NaN where it was not finite."""

    factor: float
    steps: int
    start: float
    end: float
    rising: float = 0.0
    """Share of steps after which the loss was higher than before."""


@fact("fit")
@dataclass(frozen=True, kw_only=True)
class Fit:
    """One-batch trials on a copy of the model with a fresh optimizer of the same settings."""

    trials: tuple[FitTrial, ...]
    batch: int
    constant: float | None = None
    """The loss of the best constant on that very batch."""

    def at(self, factor: float) -> FitTrial | None:
        return next((each for each in self.trials if each.factor == factor), None)

    @property
    def best(self) -> FitTrial | None:
        """The trial that ended lowest."""
        finite = [each for each in self.trials if each.end == each.end]
        return min(finite, key=lambda each: each.end, default=None)
