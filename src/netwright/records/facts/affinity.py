"""Whether the network is one affine map, tried on the images of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("affinity")
@dataclass(frozen=True, kw_only=True)
class Affinity:
    """Over pairs of samples a, b: `gap` is |f(a) + f(b) - 2 f((a + b) / 2)|, `span` is
    |f(a) - f(b)|, both as root mean squares, in evaluation mode. `layers` are those with weights
    that ran."""

    gap: float
    span: float
    pairs: int
    layers: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        return self.gap / self.span if self.span > 0 else float("nan")
