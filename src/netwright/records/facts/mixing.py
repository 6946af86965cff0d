"""Whether the output for one sample depends on the other samples of its batch."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("mixing")
@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Measured in evaluation mode: all samples but one were replaced, and its output compared.

    `change` is the largest change of an output whose own sample stayed, over the spread of all
    outputs; `tested` counts such samples.
    """

    batch: int
    tested: int = 0
    change: float = 0.0
    change_alone: float | None = None
    """The same of a sample in a batch of its own; None where the model takes no such batch."""
    graded: bool | None = None
    """Whether an output has a gradient with respect to the other samples; None where nobody can
    tell."""
    operation: str = ""
    """A softmax or the like before the loss that stands across the batch."""
    places: int | None = None
    """Where it stands across the places of a sample instead: how many there are."""
    classes: int | None = None
    floor: float | None = None
    """The least that the loss can reach behind that operation."""
    constant: float | None = None
    scrambled: tuple[tuple[int, ...], ...] = ()
    """The shapes before and after a view that stands in for a transposition."""
    misplaced: float = 0.0
    """The share of values that such a view puts elsewhere than a transposition would."""
