"""How often the schedule of the rate is stepped."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.callers import outside
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("step-once-an-epoch", cures=())
def step_once_an_epoch(script: Script, finding: Finding) -> Iterator[Patch]:
    """The schedule's step moves out of the loop over the batches, to the end of the epoch; out of a
    function of one epoch to where that is called."""
    training = Training(script)
    place, loops = _step(training), training.loops(training.backward)
    if not loops or place not in loops[0].body:
        return
    if len(loops) > 1:
        edit = script.after(loops[1].body[-1], script.taken(place))
    else:
        call, name = outside(training, training.receiver(training.schedule_steps[0]))
        if not training.loops(call):
            return
        edit = script.after(script.statement(call), f"{name}.step()")
    yield Patch(
        says=Phrase("the schedule stepped once an epoch"),
        script=script.edited([script.without(place), edit]),
    )


@PATCHES.register("step-with-every-batch", cures=())
def step_with_every_batch(script: Script, finding: Finding) -> Iterator[Patch]:
    """The schedule's step moves behind that of the optimizer."""
    training = Training(script)
    place, loops = _step(training), training.loops(training.backward)
    if len(loops) < 2 or place not in loops[1].body:
        return
    yield Patch(
        says=Phrase("the schedule stepped with every batch"),
        script=script.edited(
            [
                script.without(place),
                script.after(script.statement(training.step), script.taken(place)),
            ]
        ),
    )


def _step(training: Training) -> ast.stmt:
    found = training.schedule_steps
    if len(found) != 1 or found[0].args:
        raise CannotPatchError("no schedule that is stepped in one place")
    return training.script.statement(found[0])
