"""Whether the loss falls as its gradient promises."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("downhill")
@dataclass(frozen=True, kw_only=True)
class Downhill:
    """Of a loss with functions of somebody's own on its way, whose backward pass is their own too:
    its slope along the gradient by two steps so small that it is straight, over the slope that the
    gradient promises. 1 where the gradient is right, -1 where it is turned round."""

    slope: float
    slope_nearer: float
    """The same with steps of a tenth."""
