"""How the units of a tensor see one axis of the input, as a function of one running index.

`Periodic` where a short pattern repeats, `Varying` unit by unit, `Unknown` behind an operation
without a rule. All are immutable.
"""

from __future__ import annotations

import numpy as np

from netwright.arithmetic.sight import row_sets
from netwright.arithmetic.sight.periodic import NOTHING, Periodic, constant
from netwright.arithmetic.sight.unit_by_unit import Varying

__all__ = ["NOTHING", "Form", "Periodic", "Unknown", "Varying", "constant", "regular"]


class Unknown:
    """Nothing can be said: `why` names the operation without a rule."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


Form = Periodic | Varying | Unknown


def regular(form: Varying) -> Form:
    """As a window, where the rows of each unit follow those of the last by the same step."""
    lo, hi = form.lo, form.hi
    if lo.ndim == 1 and len(lo) > 1 and (lo <= hi).all():
        step = int(lo[1] - lo[0])
        if (np.diff(lo) == step).all() and (np.diff(hi) == step).all():
            return Periodic(step, (row_sets.hull(int(lo[0]), int(hi[0])),))
    return form
