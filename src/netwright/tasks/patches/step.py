"""The optimizer makes a step after each backward pass."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("step", cures=("optimizer-never-steps",))
def step(script: Script, finding: Finding) -> Iterator[Patch]:
    """`optimizer.step()` after the backward pass."""
    training = Training(script)
    if training.steps:
        return
    line = f"{training.optimizer_here}.step()"
    edits = [script.after(training.backward_statement, line)]
    inside = training.loops(training.backward)
    within = {each for loop in inside for each in script.all(type(training.backward), loop)}
    if not any(each in within for each in training.clears):
        clear = f"{training.optimizer_here}.zero_grad()"
        edits.append(script.before(training.backward_statement, clear))
    yield Patch(
        says=Phrase("{code} after the backward pass", code=line), script=script.edited(edits)
    )
