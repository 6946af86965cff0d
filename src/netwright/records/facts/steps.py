"""What one training step after another did: one row for each step that is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact

Array = np.ndarray[Any, np.dtype[np.float64]]


def _empty() -> Array:
    return np.zeros(0)


@fact("steps")
@dataclass(frozen=True, kw_only=True)
class Steps:
    """Columns over time, all of one length, NaN where a value was not measured at that step.

    A long run is thinned: the rows are then every 2nd, 4th, ... step, the newest are there
    always. `step` counts optimizer steps from 1. A row's `loss` is that of the batch before the
    step (the mean over the backwards of an accumulation), unscaled.
    """

    step: Array = field(default_factory=_empty)
    loss: Array = field(default_factory=_empty)
    lr: Array = field(default_factory=_empty)
    grad_norm: Array = field(default_factory=_empty)
    """Of all gradients as the optimizer reads them."""
    raw_grad_norm: Array = field(default_factory=_empty)
    """The same before clipping."""
    update_ratio: Array = field(default_factory=_empty)
    """Norm of the step over the norm of the weights."""
    promised: Array = field(default_factory=_empty)
    """The fall of the loss that gradient times step promises, positive for a descent."""
    fallen: Array = field(default_factory=_empty)
    """The actual fall on the same batch in the same random state."""
    cosine: Array = field(default_factory=_empty)
    """Cosine between the gradient of this step and that of the one before."""
    seconds: Array = field(default_factory=_empty)
    wait: Array = field(default_factory=_empty)
    """Seconds spent waiting for the batch."""
    epoch: Array = field(default_factory=_empty)
    total: int = 0
    """How many steps there were."""

    @property
    def rho(self) -> Array:
        """Step efficacy: actual fall over promised fall; about 1 for small steps, 0.5 at the
        best one on a quadratic, negative where the step made the batch's loss worse."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.promised > 0, self.fallen / self.promised, np.nan)

    def smoothed(self, rows: int = 20) -> Array:
        """The median loss of windows of `rows` steps, one value for each full window."""
        finite = self.loss[np.isfinite(self.loss)]
        count = len(finite) // rows
        return np.median(finite[: count * rows].reshape(count, rows), axis=1)
