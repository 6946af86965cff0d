"""What the loader of the training data does: shuffle, and leave a last small batch out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("shuffle", cures=("unshuffled-data",))
def shuffle(script: Script, finding: Finding) -> Iterator[Patch]:
    """`shuffle=True` for the loader of the training data."""
    call = Training(script).training_loader
    if any(each.arg in ("sampler", "batch_sampler") for each in call.keywords):
        raise CannotPatchError("a sampler of its own")
    if len(call.args) > 2:
        edit = script.replaced(call.args[2], "True")
    else:
        edit = script.with_argument(call, "shuffle", "True")
    yield Patch(says=Phrase("{code} for the loader", code="shuffle=True"),
                script=script.edited([edit]))  # fmt: skip


@PATCHES.register("drop-last", cures=())
def drop_last(script: Script, finding: Finding) -> Iterator[Patch]:
    """`drop_last=True` for the loader of the training data."""
    call = Training(script).training_loader
    if any(each.arg == "batch_sampler" for each in call.keywords) or _set(call):
        return
    edit = script.with_argument(call, "drop_last", "True")
    yield Patch(says=Phrase("{code} for the loader", code="drop_last=True"),
                script=script.edited([edit]))  # fmt: skip


def _set(call: ast.Call) -> bool:
    return any(
        each.arg == "drop_last" and isinstance(each.value, ast.Constant) and each.value.value
        for each in call.keywords
    )
