"""How a plain network fits the batch that the network itself was tried on."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact
from netwright.records.facts.fit import FitTrial


@fact("plain_fit")
@dataclass(frozen=True, kw_only=True)
class PlainFit:
    """Two hidden layers of `width` ReLUs in the place of the network, on the same inputs, with the
    loop's own loss, trained by Adam; `best` is the least loss that the network itself came to in
    its trials on that batch."""

    trial: FitTrial
    width: int
    best: float
    constant: float | None = None
    """The loss of the best constant on that very batch."""
    unseen: float | None = None
    """The least loss of such a network on samples that it did not learn from, trained on others."""
