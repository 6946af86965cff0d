"""The loss that fits what is predicted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches.targets import _atom
from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training

CLASSES = {
    "cross_entropy": "CrossEntropyLoss",
    "mse_loss": "MSELoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "l1_loss": "L1Loss",
}


@PATCHES.register("right-loss", cures=("loss-mismatch",))
def right_loss(script: Script, finding: Finding) -> Iterator[Patch]:
    """The loss that the finding names, by function or by class, and its target as it wants it."""
    training = Training(script)
    code = next((e.code for e in finding.treatments if e.name == "right-loss"), "")
    code = code.replace("F.nll_loss(F.log_softmax(logits, dim=1), ", "F.cross_entropy(logits, ")
    told = re.match(r"loss = F\.(\w+)\((\w+), (.+)\)$", code.partition("  #")[0].strip())
    if told is None or told[1] not in CLASSES:
        raise CannotPatchError("the finding names no loss")
    call, (_, target) = training.loss_call, training.pair
    edits = [_named(training, call, told[1])]
    wanted = told[3]
    if wanted != "target" and re.match(r"target\.\w+\([\w=, -]*\)$", wanted):
        old = _bare(script, target)
        if not script.of(target).endswith(wanted.removeprefix("target")):
            edits.append(
                script.replaced(target, _atom(script, old) + wanted.removeprefix("target"))
            )
    elif told[1] in ("cross_entropy", "nll_loss"):
        old = _bare(script, target)
        if old is not target:
            edits.append(script.replaced(target, script.of(old)))
    yield Patch(says=Phrase("the loss {loss}", loss=told[1]), script=script.edited(edits))


def _bare(script: Script, target: ast.expr) -> ast.expr:
    """A target without what made numbers, or one-hot rows, of its classes."""
    while isinstance(target, ast.Call):
        func = target.func
        if isinstance(func, ast.Attribute) and func.attr in ("float", "double"):
            target = func.value
        elif (isinstance(func, ast.Attribute) and func.attr == "one_hot" and target.args) or (
            isinstance(func, ast.Name) and func.id == "one_hot" and target.args
        ):
            target = target.args[0]
        else:
            break
    return target


def _named(training: Training, call: ast.Call, name: str) -> Edit:
    script = training.script
    if training.names.called(call):
        new = training.names.spelled(f"torch.nn.functional.{name}")
        return script.replaced(call.func, new)
    made = call.func if isinstance(call.func, ast.Call) else None
    if made is None:
        known = [e for e in training.losses_made if training.assigned(e) == script.of(call.func)]
        known = known or training.losses_made
        if len(known) != 1:
            raise CannotPatchError("several losses are made")
        made = known[0]
    new = training.names.spelled(f"torch.nn.{CLASSES[name]}")
    return script.replaced(made, f"{new}()")
