"""The state that a network starts in, as a fact among the others."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact
from netwright.records.initial_state import InitialState

fact("initial-state")(InitialState)


@dataclass(frozen=True, kw_only=True)
class WeightScale:
    """The root mean square of a layer's weights times the root of its fan-in: how much it makes
    of a signal whose parts do not hang together. 1.41 is He's, 0.58 that of torch."""

    layer: str
    gain: float
    normed: bool = False
    """A norm takes the scale out again."""
    head: bool = False
    held: bool = True
    """An optimizer trains it."""


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """A state that meets one matrix at each of `steps` steps of a sequence. `gain` is the size of
    its numbers times the root of the state's; `radius` the largest of its eigenvalues, by size,
    where nothing bounds the state, else None."""

    layer: str
    gain: float
    steps: int
    radius: float | None = None


@fact("weight-scales")
@dataclass(frozen=True, kw_only=True)
class WeightScales:
    """The layers in the order they run."""

    layers: tuple[WeightScale, ...] = ()
    input_rms: float | None = None
    recurrences: tuple[Recurrence, ...] = ()
