"""Where the first value that is not finite came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.records.facts import fact


@fact("nonfinite")
@dataclass(frozen=True, kw_only=True)
class NonFinite:
    """The first bad value, found by running the step again with every operation looked at.

    `layer` is the path of the module in whose forward it arose ("" is the network itself, or the
    loss), `operation` torch's word; `row` the sample of the batch, None where all have it.
    `before` is the largest absolute value that went in.
    """

    step: int
    where: Literal["input", "target", "weights", "forward", "loss", "backward", "step", "unknown"]
    layer: str = ""
    operation: str = ""
    value: str = "nan"
    row: int | None = None
    rows: int | None = None
    """How many samples of the batch have it."""
    before: float | None = None
    dtype: str = ""
    replayed: bool = False
    example: str = ""
    """The operation with its numbers, as in `log(0)`."""
    batch: int | None = None
    stepped: bool = True
    """Whether an optimizer was about to use, or used, a gradient that is not finite."""
