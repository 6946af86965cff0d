"""The rate falls when what it watches has stopped getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class PlateauOptions(ScheduleCommon):
    """What is watched, how long is waited, and how far the rate falls."""

    watch: Literal["val/loss", "val/acc1", "train/loss"] = setting(
        "val/loss", help="the metric that has to get better"
    )
    patience: int = setting(5, ge=0, help="evaluations without a better one that are borne")
    threshold: float = setting(
        1e-3, ge=0, lt=1, help="share of the best by which a value has to be better to count"
    )
    cooldown: int = setting(0, ge=0, help="evaluations after a fall that are not counted")
    gamma: float = setting(0.1, gt=0, lt=1, help="what the rate is multiplied by")
    lowest: float = setting(1e-4, ge=0, le=1, help="factor below which it does not fall")


class Plateau:
    """What a run has watched so far, and the factor that follows from it.

    `observe` is called once after each evaluation; `factor` holds until the next.
    """

    def __init__(self, options: PlateauOptions) -> None:
        self.options = options
        self.factor = 1.0
        self.best: float | None = None
        self.waited = 0
        self.cooling = 0

    @property
    def metric(self) -> str:
        """The name of what is to be observed, as in `metrics.jsonl`."""
        return self.options.watch

    def observe(self, value: float) -> float:
        """Take in one evaluation; returns the factor from here on.

        A value that is not a number is no better than any other.
        """
        if self._better(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.waited = 0
        if self.waited > self.options.patience:
            self.factor = max(self.factor * self.options.gamma, self.options.lowest)
            self.waited, self.cooling = 0, self.options.cooldown
        return self.factor

    def state_dict(self) -> dict[str, Any]:
        """Four plain numbers, from which a resumed run goes on alike."""
        names = ("factor", "best", "waited", "cooling")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.factor = float(state["factor"])
        self.best = None if state["best"] is None else float(state["best"])
        self.waited, self.cooling = int(state["waited"]), int(state["cooling"])

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        # A share of the size, so that a loss below 0 has to get better by as much.
        margin = self.options.threshold * abs(self.best)
        if self.options.watch == "val/acc1":
            return value > self.best + margin
        return value < self.best - margin


@SCHEDULES.register(
    "plateau",
    options=PlateauOptions,
    watches="val/loss",
    watcher=Plateau,
    paper="He et al. 2015, sec. 3.4: divided by 10 when the error plateaus",
)
def plateau(step: int, total: int, options: PlateauOptions) -> float:
    """The rate falls by `gamma` after more than `patience` evaluations without a better value.

    Not a function of the step: the factor of the step is always 1, and that of
    `Plateau(options).observe(value)` comes on top (see `netwright.optim.schedules.watcher`).

    When to use it: when it is not known how long a run will be.

    What goes wrong: validation loss rises with over-confidence while accuracy still grows, and the
    rate falls too early (watch `val/acc1`). On a small validation set luck keeps the rate up (raise
    `threshold`). With `run.early_stop` of about the same patience the run ends before the lower
    rate has shown anything.

    >>> watcher = Plateau(PlateauOptions(patience=1))
    >>> [round(watcher.observe(value), 3) for value in (2.0, 1.0, 1.0, 1.1, 0.5)]
    [1.0, 1.0, 1.0, 0.1, 0.1]
    """
    return 1.0
