"""What the scale of the inputs costs on samples that nobody learned from."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("rescaled")
@dataclass(frozen=True, kw_only=True)
class Rescaled:
    """The loss on `samples` that neither learned from, after the same `steps` by the optimizer that
    is set: `as_is` on the inputs of the loop, `scaled` on inputs of mean 0 and variance 1. `guess`
    is that of the best constant on the first batch."""

    as_is: float
    scaled: float
    steps: int
    samples: int
    guess: float | None = None
