"""Loss scaling for float16: small gradients are lifted over what the type can hold.

float16 ends at 65,504 and loses what is under 6e-8. The loss is therefore multiplied before the
backward pass and the gradients divided after it. A step whose gradients overflow is left out and
the factor halved; after many good ones it is doubled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LARGEST = 2.0**24


class LossScale:
    """The factor of a training, and how many steps in a row went well with it.

    Source: Micikevicius et al. 2018, Mixed precision training, section 3.2; the numbers are those
    of `torch.amp.GradScaler`.

    >>> scale = LossScale()
    >>> scale.took(finite=False)
    >>> scale.factor
    32768.0
    """

    def __init__(self, factor: float = 2.0**16, *, patience: int = 2000) -> None:
        self.factor = factor
        self.patience = patience
        self.good = 0

    def took(self, *, finite: bool) -> None:
        """A step was taken, or left out because its gradients were not finite."""
        if not finite:
            self.factor, self.good = self.factor / 2, 0
            return
        self.good += 1
        if self.good == self.patience:
            self.factor, self.good = min(self.factor * 2, LARGEST), 0

    @property
    def is_spent(self) -> bool:
        """Whether gradients overflow at every scale: then it is not the type that is at fault."""
        return self.factor < 1

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.factor, "growth_tracker": self.good}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        factor, good = float(state["scale"]), int(state["growth_tracker"])
        assert math.isfinite(factor), factor
        self.factor, self.good = factor, good
