"""How much of one batch's gradient is chance."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("noise")
@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """From the gradients of the quarters of a batch (McCandlish et al. 2018, appendix A):
    `scale` is tr(Sigma) / |G|^2, the size of batch at which noise and signal are equal; infinite
    where the quarters have nothing in common."""

    batch: int
    scale: float
    cosine: float
    """Mean cosine between the gradients of the quarters."""
