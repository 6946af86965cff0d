"""The optimizer is made when the model is complete, of all its parameters."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.callers import model_trained
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("rebuild-optimizer", cures=("stale-optimizer",))
def rebuild_optimizer(script: Script, finding: Finding) -> Iterator[Patch]:
    """Moves the line that makes it, and those that need it, behind the last change of the model;
    where it was given a part of the model, or another model, it gets the whole of the one that is
    called."""
    training = Training(script)
    place, name, model = training.optimizer_statement, training.optimizer_name, training.model
    with contextlib.suppress(CannotPatchError):
        model = model_trained(training) or model
    block = script.block(place)
    behind = block[block.index(place) + 1 :]
    loops = [each for each in behind if isinstance(each, ast.For | ast.While)]
    until = behind.index(loops[0]) if loops else len(behind)
    changes = [each for each in behind[:until] if _changes(script, each, model)]
    if changes:
        last = changes[-1]
        moved = [place]
        for each in behind[: behind.index(last)]:
            if re.search(rf"(?<![\w.]){re.escape(name)}\b", script.of(each)):
                moved.append(each)
        lines = [script.taken(each) for each in moved]
        edits = [*(script.without(each) for each in moved), script.after(last, *lines)]
        yield Patch(
            says=Phrase("the optimizer made behind the last change of the model"),
            script=script.edited(edits),
        )
        return
    given = training.optimizer.args[0] if training.optimizer.args else None
    whole = f"{model}.parameters()"
    if given is not None and script.of(given) != whole:
        yield Patch(
            says=Phrase("all parameters of the model for the optimizer"),
            script=script.edited([script.replaced(given, whole)]),
        )


def _changes(script: Script, place: ast.stmt, model: str) -> bool:
    """Whether a statement gives the model new parts, or is a new model."""
    if isinstance(place, ast.Assign):
        targets = [script.of(each) for each in place.targets]
        return any(re.match(rf"{re.escape(model)}(\.|\[|$)", each) for each in targets)
    if isinstance(place, ast.Expr) and isinstance(place.value, ast.Call):
        text = script.of(place.value.func)
        return bool(
            re.match(rf"{re.escape(model)}\.(.*\.)?(add_module|append|insert|extend)$", text)
        )
    return False
