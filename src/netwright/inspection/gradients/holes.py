"""Where backprop gives no finite number: the root at 0, a norm of zeros, 0/0 behind a mask.

There is either a derivative all the same, and the backward pass is wrong; or there is none just
here, and whoever trains with it gets weights that are no numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netwright.inspection.gradients.cases import Case
from netwright.inspection.gradients.comparison import Comparison
from netwright.inspection.gradients.entries import entry_of, numeric_at


def note_holes(comparison: Comparison, case: Case) -> None:
    """Which entries these are, and one of them."""
    assert case.gradient is not None
    case.holes = ~torch.isfinite(case.gradient)
    _keep(comparison, case, case.gradient, case.holes)


def beside_too(comparison: Comparison, case: Case, gradient: Tensor | None) -> None:
    """At a point beside: where backprop gives no number for such an entry there either, though
    there is a derivative, it is wrong."""
    if gradient is None or case.holes is None:
        return
    both = case.holes & ~torch.isfinite(gradient)
    if bool(both.any()) and math.isfinite(_keep(comparison, case, gradient, both)):
        case.verdict = "wrong"


def set_apart(case: Case) -> None:
    """Such entries stay where they are from now on, and the others are compared."""
    assert case.gradient is not None
    assert case.holes is not None
    case.gradient = case.gradient.masked_fill(case.holes, 0.0)
    case.subject.fixed = case.holes


def _keep(comparison: Comparison, case: Case, gradient: Tensor, holes: Tensor) -> float:
    """The first of the holes as the entry that is shown; its derivative."""
    index = int(holes.reshape(-1).int().argmax())
    numeric = numeric_at(comparison, case, index)
    backprop = float(gradient.reshape(-1)[index])
    case.entry = entry_of(case, index, backprop=backprop, numeric=numeric)
    return numeric
