"""A longer training."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._rates import constant, number
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("more-epochs", cures=("stopped-early", "slow-convergence"))
def more_epochs(script: Script, finding: Finding) -> Iterator[Patch]:
    """Three times as many rounds of the outermost loop."""
    training = Training(script)
    loop = training.epochs or training.batches
    call = loop.iter if isinstance(loop, ast.For) else None
    while isinstance(call, ast.Call) and not _counts(call) and call.args:
        call = call.args[0] if isinstance(call.args[0], ast.Call) else None  # tqdm(range(...))
    if not isinstance(call, ast.Call) or not _counts(call) or len(call.args) > 2:
        raise CannotPatchError("the number of epochs is not found")
    last = call.args[-1]
    source = constant(training, last)
    if source is not None:
        new = f"{3 * int(number(source) or 1)}"
        edit, said = script.replaced(source, new), f"{script.of(source)} -> {new}"
    else:
        text = script.of(last)
        text = text if isinstance(last, ast.Name | ast.Attribute) else f"({text})"
        edit, said = script.replaced(last, f"3 * {text}"), f"3 x {text}"
    yield Patch(says=Phrase("epochs {change}", change=said), script=script.edited([edit]))


def _counts(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "range"
