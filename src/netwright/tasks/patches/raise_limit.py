"""A clipping of gradients that bites at every step: its limit raised, or taken away."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._rates import argument, constant
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training

LIMITS = {"clip_grad_norm_": "max_norm", "clip_grad_value_": "clip_value"}


@PATCHES.register("raise-limit", cures=("clipping-every-step",))
def raise_limit(script: Script, finding: Finding) -> Iterator[Patch]:
    """A limit of 1, as is usual; then none at all."""
    training = Training(script)
    found = training.made(*LIMITS)
    if len(found) != 1:
        raise CannotPatchError(f"{len(found)} places that clip")
    call = found[0]
    limit = argument(call, LIMITS[training.names.called(call)], 1)
    if limit is None:
        raise CannotPatchError("no limit")
    place = constant(training, limit) or limit
    if script.of(place) != "1.0":
        yield Patch(
            says=Phrase("gradients clipped at a norm of {bound}", bound="1.0"),
            script=script.edited([script.replaced(place, "1.0")]),
        )
    statement = script.statement(call)
    if isinstance(statement, ast.Expr) and statement.value is call:
        yield Patch(
            says=Phrase("no clipping of gradients"),
            script=script.edited([script.without(statement)]),
        )
