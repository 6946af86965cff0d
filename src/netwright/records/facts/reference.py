"""What a plain network comes to on samples that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("reference")
@dataclass(frozen=True, kw_only=True)
class Reference:
    """Two hidden layers of `width` ReLUs, trained by Adam for a moment on training samples, each
    number by its own mean and spread, with the loop's own loss."""

    unseen: float
    """Its least loss on a quarter of the samples, with two standard errors on top."""
    width: int
