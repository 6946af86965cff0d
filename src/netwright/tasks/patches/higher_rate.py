"""A larger learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._rates import with_rate
from netwright.tasks.source.script import Script

FACTORS = (10.0, 100.0, 1000.0)


@PATCHES.register("higher-rate", cures=())
def higher_rate(script: Script, finding: Finding) -> Iterator[Patch]:
    """The number in the source is replaced; an expression is multiplied."""
    for factor in FACTORS:
        patched, said = with_rate(script, lambda old, f=factor: old * f, f"{factor:g}")  # type: ignore[misc]
        if patched.text != script.text:
            yield Patch(says=Phrase("learning rate {change}", change=said), script=patched)


@PATCHES.register("raise-rate", cures=())
def raise_rate(script: Script, finding: Finding) -> Iterator[Patch]:
    """For a rate of 0, or one that moves no weight: usual ones."""
    for rate in (1e-3, 1e-2, 1e-1):
        patched, said = with_rate(script, lambda _, r=rate: r, "1e6")  # type: ignore[misc]
        yield Patch(says=Phrase("learning rate {change}", change=said), script=patched)
