"""What trials may cost: steps, and seconds of the clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from netwright.doctor.trials.trial import Trial


@dataclass(kw_only=True)
class Purse:
    """What may still be spent on trials: steps, and seconds of the clock."""

    steps: int
    seconds: float = math.inf
    spent: int = 0
    trained_on: int = 0
    """Samples that all trials together were trained on."""
    _began: float = field(default_factory=time.perf_counter)

    @property
    def late(self) -> bool:
        return time.perf_counter() - self._began > self.seconds

    @property
    def empty(self) -> bool:
        return self.spent >= self.steps or self.late

    def affords(self, steps: int) -> bool:
        return not self.empty and self.spent + steps <= self.steps

    def pay(self, trial: Trial, until: int) -> None:
        """The trial goes on to what is that step of the control, at the cost of the purse, and is
        judged."""
        before, samples = trial.step, trial.trained_on
        trial.go_on(max(0, trial.reach(until) - trial.step), before=self._began + self.seconds)
        self.spent += round((trial.step - before) / trial.pace)
        self.trained_on += trial.trained_on - samples
        trial.judged()
