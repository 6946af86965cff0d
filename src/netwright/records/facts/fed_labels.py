"""Whether samples meet in the loop the labels that the data give them."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("fed-labels")
@dataclass(frozen=True, kw_only=True)
class FedLabels:
    """Of a batch whose samples are those of the training data, bit for bit. `agreement` is the
    share of classes that are the data's under the best one-to-one mapping (numbers: their
    correlation with the data's), `chance` what such a batch has when its labels are dealt out."""

    samples: int
    numbers: bool = False
    agreement: float = 1.0
    chance: float = 0.0
