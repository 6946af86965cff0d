"""What was kept of the batches that went by while a loop trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact
from netwright.records.facts.feed import Feed
from netwright.records.facts.splits import Splits

Array = np.ndarray[Any, np.dtype[np.float64]]


def _empty() -> Array:
    return np.zeros(0)


@fact("passing")
@dataclass(frozen=True, kw_only=True)
class Passing:
    """`loss` and the columns beside it are of single samples, the latest that were looked at:
    the loss of each, the step it was seen at, its place in the batch, its label, the class the
    model held likeliest and how likely, all before the step."""

    loss: Array = field(default_factory=_empty)
    step: Array = field(default_factory=_empty)
    row: Array = field(default_factory=_empty)
    label: Array = field(default_factory=_empty)
    likeliest: Array = field(default_factory=_empty)
    confidence: Array = field(default_factory=_empty)
    batches: int = 0
    told: int | None = None
    """Batches whose fingerprints were taken: all, or a sample of them."""
    distinct: int = 0
    """Different ones among these."""
    remembered: int = 4096
    """Fingerprints that are kept: more different batches than that are not told apart."""
    batch: int | None = None
    """Samples of the largest batch."""
    at_once: int = 0
    """Batches that equal the one right before."""
    looked: int = 0
    """Batches that were looked at whose inputs are all of one tensor of eight samples or more."""
    alike: int = 0
    """Of those, batches that hold one sample again and again."""
    feed: Feed | None = None
    """How the labels of the batches that were looked at are mixed."""
    splits: Splits | None = None
    """Batches that were trained on, against those that were evaluated."""
