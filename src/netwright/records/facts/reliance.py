"""Whether the answers of the trained network hang on one feature of its inputs alone."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("reliance")
@dataclass(frozen=True, kw_only=True)
class Reliance:
    """Pairs of samples of different classes, after `step` steps. `kept` is the share of answers
    that stay when all but the feature is the other sample's, `followed` the share that become the
    other's when the feature alone is."""

    feature: int
    step: int
    pairs: int
    overall: str = ""
    """The number of the whole sample that was exchanged, by a factor, in place of a feature."""
    kept: float
    followed: float
