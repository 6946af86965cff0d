"""The same steps on a batch with its targets as they are and standardised."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("target-trial")
@dataclass(frozen=True, kw_only=True)
class TargetTrial:
    """`raw` and `scaled` are what is left unexplained after `steps` steps on the first batch: the
    squared error of each target over its variance, the mean over the targets; 1 is what their
    means alone would leave, infinity a loss that was not finite."""

    steps: int
    raw: float
    scaled: float
    targets: int = 1
    std_least: float = 0.0
    std_most: float = 0.0
    """The least and the largest standard deviation of a target."""

    @property
    def std_ratio(self) -> float:
        """Infinite where one target does not vary."""
        return self.std_most / self.std_least if self.std_least > 0 else float("inf")
