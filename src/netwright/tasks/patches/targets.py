"""What the loss is given as its target: the shape, the type, the first number of the classes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("same-shape", cures=("silent-broadcast",))
def same_shape(script: Script, finding: Finding) -> Iterator[Patch]:
    """The target gets the shape of the output."""
    training = Training(script)
    output, target = training.pair
    if ".view_as(" in script.of(target) or ".reshape_as(" in script.of(target):
        return
    if isinstance(output, ast.Name | ast.Attribute):
        new = f"{_atom(script, target)}.view_as({script.of(output)})"
        edit = script.replaced(target, new)
    elif _shape(finding, "output") == 2:
        if script.of(output).endswith((".squeeze(1)", ".squeeze(-1)")):
            return
        new = f"{_atom(script, output)}.squeeze(1)"
        edit = script.replaced(output, new)
    else:
        new = f"{_atom(script, target)}.squeeze(1)"
        edit = script.replaced(target, new)
    yield Patch(says=Phrase("{code} into the loss", code=new), script=script.edited([edit]))


def _shape(finding: Finding, name: str) -> int:
    """How many axes a finding says that the output has."""
    text = str(finding.what.values.get(name, ""))
    return len(re.findall(r"\d+", text))


@PATCHES.register("shift-labels", cures=("labels-shifted",))
def shift_labels(script: Script, finding: Finding) -> Iterator[Patch]:
    """Classes are counted from 0 where the loss reads them."""
    training = Training(script)
    target = training.pair[1]
    if re.search(r"-\s*1\s*$", script.of(target)):
        return
    new = f"{_atom(script, target)} - 1"
    edits = [script.replaced(target, new)]
    edits += [
        script.replaced(each, f"({_atom(script, each)} - 1)") for each in _held_against(training)
    ]
    yield Patch(says=Phrase("{code} into the loss", code=new), script=script.edited(edits))


def _held_against(training: Training) -> list[ast.expr]:
    """Labels that predictions are compared with: they are counted from 1 as well."""
    script = training.script
    found: list[ast.expr] = []
    for each in script.all(ast.Compare):
        if len(each.ops) == 1 and isinstance(each.ops[0], ast.Eq):
            sides = [each.left, each.comparators[0]]
            told = ["argmax" in script.of(side) or "pred" in script.of(side) for side in sides]
            if told == [True, False]:
                found.append(sides[1])
            elif told == [False, True]:
                found.append(sides[0])
    return [e for e in found if isinstance(e, ast.Name | ast.Attribute | ast.Subscript)]


@PATCHES.register("cast-target", cures=("label-dtype",))
def cast_target(script: Script, finding: Finding) -> Iterator[Patch]:
    """What the finding proposes, around the target."""
    training = Training(script)
    target = training.pair[1]
    for treatment in finding.treatments:
        change = re.match(r"target = (.*)$", treatment.code.strip().split("  #")[0])
        if treatment.name != "cast-target" or change is None:
            continue
        if not re.search(r"\btarget\b", change[1]):
            continue
        new = re.sub(r"\btarget\b", lambda _: _atom(script, target), change[1])
        if script.of(target).endswith(change[1].removeprefix("target")):
            return
        if "output" in change[1]:
            raise CannotPatchError("the target is cast by the output")
        yield Patch(
            says=Phrase("{code} into the loss", code=new),
            script=script.edited([script.replaced(target, new)]),
        )


def _atom(script: Script, node: ast.expr) -> str:
    """The source of an expression, in parentheses where a method could not follow it."""
    text = script.of(node)
    tight = isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
    return text if tight else f"({text})"
