"""What a loss asks the outputs to be, where nobody but the loss decides."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("wanted")
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Of a loss of somebody's own: what the last weights give was made free, number by number, and
    moved down the loss of the first batch alone."""

    start: float
    least: float
    """The loss that free outputs came to."""
    constant: float | None = None
    """What one row came to that is the same for every sample."""
    activation: str = ""
    """Torch's word for the last function between the weights and the loss that bounds values."""
    unbound: float | None = None
    """What the loss came to when the result of that function was free as well."""
    targets: str = ""
    """"classes" for whole numbers or rows with one 1, "signs" for yes and no, "numbers" for others;
    "" where nothing is known of them."""
    runaway: float = 0.0
    """Share of the outputs that went more than five spreads of the targets beyond them."""
    slope: float | None = None
    """What the loss falls by when these go a thousand spreads farther, and once more: the second
    fall over the first, about 1 where it falls for ever."""
    term: str = ""
    """The one likelihood among the terms of the loss, by torch's word."""
    term_left: float | None = None
    """That term where the whole loss is least, over its value for the best constant."""
