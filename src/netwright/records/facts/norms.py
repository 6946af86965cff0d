"""Batch normalisation while it trains: what it keeps, against what it meets."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class NormFact:
    """One norm at the last step looked at.

    `values` is the least number of values a channel that its statistics were taken from. `off` is
    how far the running mean lies from the mean of the batch, in standard deviations of the batch,
    `ratio` the running variance over that of the batch or the reverse, whichever is above 1: each
    the median of the channels. `momentum` is torch's, the share of the new; None keeps an average
    of all. `updated` says whether it took its statistics from the batch.
    """

    name: str
    values: int
    momentum: float | None = None
    off: float = 0.0
    ratio: float = 1.0
    updated: bool = True
    samples: float = 0.0
    """How many values that do not hang together would give means as uncertain as those of the
    batch: the places of one image are alike, and count as fewer than there are."""


@fact("norms")
@dataclass(frozen=True, kw_only=True)
class Norms:
    norms: tuple[NormFact, ...] = ()
    step: int = 0
