"""Which labels there are, as far as they are known before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netwright.records.facts import fact


@fact("labels")
@dataclass(frozen=True, kw_only=True)
class Labels:
    """`values` are the different labels, in order, and `counts` how often each comes; labels that
    the loss ignores are left out. `source` says whether they are of the training set, as far as
    it was read, or of one batch."""

    source: Literal["train", "batch"]
    values: tuple[int, ...]
    counts: tuple[int, ...]
    classes: int | None = None
    """How many the loss has room for."""
    binary: bool = False
    """Whether one unit tells two classes apart."""
    batch: int = 0
    """Labels in one batch."""
    complete: bool = False
    """Whether every sample of the training set was read."""
    places: bool = False
    """Whether a sample has many labels, one for each place."""

    @property
    def known(self) -> int:
        """How many labels were read."""
        return sum(self.counts)
