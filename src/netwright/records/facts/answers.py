"""What the network answered at the steps looked at: which classes, and how differently."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("answers")
@dataclass(frozen=True, kw_only=True)
class Answers:
    """`spread` is the standard deviation of an output over the batch, the largest of all outputs,
    over the size of the outputs, at each of `steps`. Counts are by class: `labels` of all looks,
    the others of the last ones since step `since`; `hits` are right answers."""

    steps: tuple[int, ...] = ()
    spread: tuple[float, ...] = ()
    samples: int = 0
    """Samples of one batch."""
    inputs_differ: bool = True
    classes: int = 0
    binary: bool = False
    labels: tuple[int, ...] = ()
    since: int = 0
    recent: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()
    hits: tuple[int, ...] = ()
    places: bool = False
    """Whether a sample has many labels."""
    targets: tuple[float, ...] = ()
    """The standard deviation of numbers as targets, at each look; none for classes."""
    forms: int = 1
    """How many different losses were gone back over: of a loop that teaches one task in one step
    and another in the next the losses of two steps are not to be compared."""
