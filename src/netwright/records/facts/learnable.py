"""What a plain network learns in a moment from the samples that the run is fed."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("learnable")
@dataclass(frozen=True, kw_only=True)
class Learnable:
    """The least loss of two plain hidden layers on samples that they did not learn from, with two
    standard errors on top; `guess` is the loss of the best constant on the first batch."""

    unseen: float
    guess: float
