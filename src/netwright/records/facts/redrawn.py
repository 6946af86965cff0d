"""How the network learns from weights drawn anew, beside those that it begins with."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("redrawn")
@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """The loss on `samples` that neither learned from, after the same `steps` by the optimizer that
    is set: `as_is` from the weights of the loop, `redrawn` from each of several fresh draws by
    initialisers that fit the activations. `guess` is that of the best constant on the first
    batch."""

    as_is: float
    redrawn: tuple[float, ...]
    steps: int
    samples: int
    guess: float | None = None
