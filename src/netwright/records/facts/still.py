"""Weights that are not trained although nobody ever trained them, and what training them gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.records.facts import fact
from netwright.records.facts.fit import FitTrial

Why = Literal["frozen", "rate", "left"]


@fact("still")
@dataclass(frozen=True, kw_only=True)
class Still:
    """Layers whose weights stand still, and are as an initialiser draws them.

    `why` is "frozen" (no gradient is asked for), "rate" (a group of the optimizer at the rate 0,
    beside others that move) or "left" (no optimizer holds them). `held` is the trial on one batch
    with these left still, `moved` the same trial with them trained: same steps, same rate; None
    where there was no time for them.
    """

    why: Why
    layers: tuple[str, ...]
    numel: int
    share: float
    """Of the weights of all layers of the network."""
    held: FitTrial | None
    moved: FitTrial | None
    constant: float | None = None
    """The loss of the best constant on that very batch."""
    by: str = ""
    """ "adam" where both were tried by Adam at 3e-3: neither moved at the rate that is set."""
