"""A tensor that is cut from the graph between the input and the loss stays in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("keep-gradient", cures=("detached-graph",))
def keep_gradient(script: Script, finding: Finding) -> Iterator[Patch]:
    """`.detach()` and `.data` in a forward, or in the output that the loss is given, go where there
    is one such place: of several some may be meant."""
    training = Training(script)
    within: list[ast.AST] = [e for e in script.all(ast.FunctionDef) if e.name == "forward"]
    try:
        output = training.pair[0]
    except CannotPatchError:
        output = None
    while isinstance(output, ast.expr):
        within.append(output)
        output = training.value_of(output) if isinstance(output, ast.Name) else None
    found = {place: inner for each in within for place, inner in _cuts(script, each)}
    if len(found) != 1:
        raise CannotPatchError(f"{len(found)} places that cut the graph")
    for place, inner in found.items():
        start, end = script.span(inner)[1], script.span(place)[1]
        yield Patch(
            says=Phrase("no {code}", code=script.text[start:end]),
            script=script.edited(
                [script.replaced(place, script.text[script.span(place)[0] : start])]
            ),
        )


def _cuts(script: Script, within: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What cuts, and what it is applied to."""
    for each in script.all(ast.Attribute, within):
        if not isinstance(each.ctx, ast.Load):
            continue
        around = script.parents[each]
        called = isinstance(around, ast.Call) and around.func is each
        if each.attr == "data" and not called:
            yield each, each.value
        elif each.attr == "detach" and called:
            assert isinstance(around, ast.Call)
            yield around, each.value
