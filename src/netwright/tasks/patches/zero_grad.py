"""Gradients are cleared before each backward pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("zero-grad", cures=("gradients-never-cleared",))
def zero_grad(script: Script, finding: Finding) -> Iterator[Patch]:
    """`optimizer.zero_grad()` before the backward pass; where gradients of several batches are
    gathered for one step, behind that step."""
    training = Training(script)
    optimizer, place = training.optimizer_here, training.backward_statement
    block = script.block(place)
    if any(script.statement(each) in block for each in training.clears):
        return
    line = f"{optimizer}.zero_grad()"
    gathered = _gathered(training)
    if gathered is not None:
        if not any(script.statement(each) in script.block(gathered) for each in training.clears):
            yield Patch(
                says=Phrase("{code} after the step", code=line),
                script=script.edited([script.after(gathered, line)]),
            )
        return
    yield Patch(
        says=Phrase("{code} before the backward pass", code=line),
        script=script.edited([script.before(place, line)]),
    )


def _gathered(training: Training) -> ast.stmt | None:
    """The step, where it is made after some backward passes only."""
    if len(training.steps) != 1:
        return None
    step = training.script.statement(training.step)
    around = training.script.parents[step]
    inside = (
        training.backward_statement in training.script.block(around)
        if isinstance(around, ast.If)
        else False
    )
    return step if inside else None
