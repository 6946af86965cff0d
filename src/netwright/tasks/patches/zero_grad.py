"""Gradients are cleared before each backward pass."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("zero-grad", cures=("gradients-never-cleared",))
def zero_grad(script: Script, finding: Finding) -> Iterator[Patch]:
    """`optimizer.zero_grad()` before the backward pass."""
    training = Training(script)
    optimizer, place = training.optimizer_here, training.backward_statement
    block = script.block(place)
    if any(script.statement(each) in block for each in training.clears):
        return
    line = f"{optimizer}.zero_grad()"
    yield Patch(
        says=Phrase("{code} before the backward pass", code=line),
        script=script.edited([script.before(place, line)]),
    )
