"""The order in which samples are fed, and whether they are."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("feed")
@dataclass(frozen=True, kw_only=True)
class Feed:
    """One pass over the training data, as far as it was read (`complete`: to its end)."""

    batches: int = 0
    batch: int | None = None
    read: int = 0
    complete: bool = False
    samples: int | None = None
    """How many the data set has."""
    dropped: int = 0
    shuffled: bool | None = None
    compared: int = 0
    """Batches whose labels were compared, in the order they are fed."""
    classes: int | None = None
    binned: bool = False
    """Whether the labels are eighths of the range of a regression's target, by equal counts."""
    within_entropy: float | None = None
    """Mean entropy of the labels of a batch, in nats."""
    expected_entropy: float | None = None
    """The same once the labels that were read are dealt out anew."""
    carried_loss: float | None = None
    """The loss of guessing labels by the shares of the batch before, in nats."""
    expected_loss: float | None = None
    """The same with the labels dealt out anew."""
    longest_run: int = 0
    """Equal labels in a row, at the most."""
    expected_run: float | None = None
    longest_alone: int = 0
    """Batches in a row that hold one and the same single class."""
