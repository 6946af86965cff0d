"""How a training came out on the data that judge it, as healing saw it on the way."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("judged")
@dataclass(frozen=True, kw_only=True)
class Judged:
    """The least mean loss so far on data that nobody learned from, at step `step` of `planned`."""

    step: int
    planned: int
    least: float | None
    """None where no loss was finite."""
    ended: bool
    """Whether the plan is at its end, or an error ended it before."""
