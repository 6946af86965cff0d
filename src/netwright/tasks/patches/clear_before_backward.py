"""Clearing, backward, step: in that order."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("clear-before-backward", cures=())
def clear_before_backward(script: Script, finding: Finding) -> Iterator[Patch]:
    """Moves `zero_grad()` before the backward pass, and a step that comes before it behind it."""
    training = Training(script)
    place = training.backward_statement
    block = script.block(place)
    step = script.statement(training.step)
    clears = [script.statement(each) for each in training.clears]
    clears = [each for each in clears if each in block]
    if step not in block or len(clears) != 1:
        return
    clear = clears[0]
    at, of_step, of_clear = (block.index(each) for each in (place, step, clear))
    edits = []
    if not of_clear < at:
        edits += [script.without(clear), script.before(place, script.taken(clear))]
    if of_step < at:
        edits += [script.without(step), script.after(place, script.taken(step))]
    if of_step > at and of_clear < at:
        return
    yield Patch(
        says=Phrase("gradients cleared, then the backward pass, then the step"),
        script=script.edited(edits),
    )
