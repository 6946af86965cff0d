"""How sharply the loss of one batch bends, against the rate that is set."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("curvature")
@dataclass(frozen=True, kw_only=True)
class Curvature:
    """`top` is the largest eigenvalue of the second derivative of the loss, found by `steps` power
    steps; with `preconditioned`, after scaling by the size of the gradient as Adam does at its
    first step. `limit` is what rate x top may be on a quadratic: 2, 2 (1 + momentum), for Adam
    2 (1 + beta1) / (1 - beta1)."""

    top: float
    rate: float
    limit: float
    steps: int
    preconditioned: bool = False
    exact: bool = True
    """By double backward; else by differences of gradients."""
    settled: float = 0.0
    """Relative change of `top` in the last step."""
    gradient_norm: float = 0.0
    normalised: bool = False
    """A batch norm follows some weights: larger weights then lower the curvature by themselves,
    and a product above the limit at the start is often harmless."""

    share: float = 1.0
    """Of the batch, that was looked at."""

    @property
    def least(self) -> float:
        """The top curvature of the whole batch is at least this: it is a mean over the samples, and
        those that were not looked at bend up or not at all."""
        return self.share * self.top

    @property
    def product(self) -> float:
        return self.rate * self.top
