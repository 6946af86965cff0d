"""Whither the loss of the first batch pulls the outputs, held against the targets."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("pull")
@dataclass(frozen=True, kw_only=True)
class Pull:
    """Of any loss whose target is known, whatever it is made of. `targets` are "numbers" of the
    shape of the output, or "classes", one of its columns for each sample."""

    targets: str
    samples: int
    cosine: float | None = None
    """Numbers: between the way down the loss and the way from the outputs to the targets."""
    away: float | None = None
    """Share of the pull (classes: on the score of the right class) that leads away from the
    target."""
    dealt_change: float | None = None
    """Relative change of the loss when each sample is given the target of the one before it."""
    dealt_anew: float | None = None
    """The same for outputs drawn at random, far from one another; None where that is no number."""
    targets_dealt: float = 0.0
    """Share of the numbers in the targets that are others then."""
    paired: bool = False
    """Whether the training data hold such inputs and targets in pairs; asked where the loss does
    not change with the targets dealt otherwise."""
    output_spread: float = 0.0
    """Largest standard deviation of an output over the batch, over the size of the outputs."""
    alone: bool = True
    """Whether the targets are all that the loss is given beside the outputs: no rewards."""
    flat: bool = False
    """Whether the loss, which is not 0, has a slope of exactly 0 in every output."""
    crossed: tuple[tuple[int, ...], ...] = ()
    """Shapes of an output and a target that some function of the loss spread over one another,
    every sample's over all others'; () where none did."""
