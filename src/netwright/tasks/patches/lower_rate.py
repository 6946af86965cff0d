"""A smaller learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._rates import with_rate
from netwright.tasks.source.script import Script

FACTORS = (0.1, 0.3, 0.03, 0.003)


@PATCHES.register("lower-rate", cures=("divergence", "loss-spike"))
def lower_rate(script: Script, finding: Finding) -> Iterator[Patch]:
    """The number in the source is replaced; an expression is multiplied."""
    for factor in FACTORS:
        patched, said = with_rate(script, lambda old, f=factor: old * f, f"{factor:g}")  # type: ignore[misc]
        yield Patch(says=Phrase("learning rate {change}", change=said), script=patched)
