"""How a gradient goes back through the steps of a row."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("through-time")
@dataclass(frozen=True, kw_only=True)
class ThroughTime:
    """The size of the gradient of the outputs by the first third of the `steps` of a row, over the
    largest of any step; `line` is the correlation of its logarithm with the number of the step."""

    first: float
    steps: int
    line: float
