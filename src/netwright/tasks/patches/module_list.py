"""Layers in a plain list become layers of the model."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("module-list", cures=("unregistered-parameters",))
def module_list(script: Script, finding: Finding) -> Iterator[Patch]:
    """`nn.ModuleList` around the lists of layers that a class keeps."""
    training = Training(script)
    edits = []
    for each in script.all(ast.Assign):
        target = each.targets[0]
        own = isinstance(target, ast.Attribute) and script.of(target.value) == "self"
        if not own or not isinstance(each.value, ast.List | ast.ListComp):
            continue
        if any(_layer(training, one) for one in training.calls(each.value)) or _filled(
            training, script.of(target)
        ):
            name = training.names.spelled("torch.nn.ModuleList")
            inner = script.of(each.value)
            edits.append(script.replaced(each.value, f"{name}({inner if inner != '[]' else ''})"))
    if edits:
        yield Patch(
            says=Phrase("{code} for lists of layers", code="nn.ModuleList"),
            script=script.edited(edits),
        )


def _layer(training: Training, call: ast.Call) -> bool:
    full, name = training.names.full(call.func), training.names.called(call)
    classes = {
        each.name
        for each in training.script.all(ast.ClassDef)
        if any(training.names.torch(base) == "Module" for base in each.bases)
    }
    return (full.startswith("torch.nn.") and name[:1].isupper()) or full in classes


def _filled(training: Training, name: str) -> bool:
    return any(
        isinstance(each.func, ast.Attribute)
        and each.func.attr == "append"
        and training.script.of(each.func.value) == name
        and any(_layer(training, one) for one in training.calls(each) if one is not each)
        for each in training.calls()
    )
