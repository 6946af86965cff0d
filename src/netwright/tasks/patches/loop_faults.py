"""The faults of a loop that one line mends: clipping, a second step, a sign, a graph that is
kept."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training


@PATCHES.register("clip", cures=("exploding-gradients",))
def clip(script: Script, finding: Finding) -> Iterator[Patch]:
    """The norm of all gradients is bounded before each step."""
    training = Training(script)
    if "clip_grad" in script.text:
        return
    name = training.names.spelled("torch.nn.utils.clip_grad_norm_")
    if training.receiver(training.step) != training.stepped:
        raise CannotPatchError("gradients that are scaled")
    for bound in ("1.0", "0.1"):
        line = f"{name}({training.model_here}.parameters(), {bound})"
        yield Patch(
            says=Phrase("gradients clipped at a norm of {bound}", bound=bound),
            script=script.edited([script.before(script.statement(training.step), line)]),
        )


@PATCHES.register("once", cures=("double-backward-or-step",))
def once(script: Script, finding: Finding) -> Iterator[Patch]:
    """One backward pass and one step to a batch."""
    training = Training(script)
    passes = [e for e in training._methods("backward") if isinstance(script.statement(e), ast.Expr)]
    for found in (passes, _steps(training)):
        blocks = {id(script.block(script.statement(each))) for each in found}
        alike = {script.of(each.func) for each in found}
        if len(found) == 2 and len(blocks) == len(alike) == 1:
            extra = script.statement(found[1])
            edits = [script.without(extra)]
            if found is passes and found[0].keywords:
                edits.append(script.replaced(found[0], script.of(found[0].func) + "()"))
            yield Patch(
                says=Phrase("the second {code} taken away", code=script.of(found[1])),
                script=script.edited(edits),
            )
            return


def _steps(training: Training) -> list[ast.Call]:
    return [e for e in training._methods("step") if not training._is_schedule(training.receiver(e))]


@PATCHES.register("flip-sign", cures=("loss-sign",))
def flip_sign(script: Script, finding: Finding) -> Iterator[Patch]:
    """The loss itself is minimised."""
    training = Training(script)
    for each in training.optimizer.keywords:
        if each.arg == "maximize":
            if isinstance(each.value, ast.Constant) and each.value.value is True:
                edit = script.without_item(training.optimizer, each)
                yield Patch(
                    says=Phrase("no {code}", code="maximize=True"), script=script.edited([edit])
                )
            return
    assert isinstance(training.backward.func, ast.Attribute)
    places = [training.backward.func.value]
    if isinstance(places[0], ast.Name):
        value = training.value_of(places[0])
        places += [value] if value is not None else []
    for node in places:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = node.operand
            text = script.of(inner)
            text = text if isinstance(inner, ast.Name | ast.Call | ast.Attribute) else f"({text})"
            start, end = script.span(node)
            if isinstance(inner, ast.Name) and script.text[start - 1 : start] == "(":
                after = script.text[end : end + 1]
                if after == ")":  # (-loss).backward()
                    edit = script.replaced(node, text)
                    edit = type(edit)(start - 1, end + 1, text)
                    yield Patch(says=Phrase("no minus before the loss"),
                                script=script.edited([edit]))  # fmt: skip
                    return
            yield Patch(says=Phrase("no minus before the loss"),
                        script=script.edited([script.replaced(node, text)]))  # fmt: skip
            return
    statement = training.backward_statement
    call = training.loss_call
    if training.names.called(call) in ("cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss"):
        return  # it has no minus in it, and its sign is right
    receiver = training.receiver(training.backward)
    if receiver.isidentifier():
        yield Patch(
            says=Phrase("the sign of the loss turned round"),
            script=script.edited([script.before(statement, f"{receiver} = -{receiver}")]),
        )


@PATCHES.register("keep-the-number", cures=("memory-growth",))
def keep_the_number(script: Script, finding: Finding) -> Iterator[Patch]:
    """What is gathered of the loss over the batches is its number, not its graph."""
    training = Training(script)
    loss = training.receiver(training.backward)
    edits = []
    # The step of one batch may be a function of its own.
    within = training.batches if training.loops(training.backward) else training.scope
    for each in script.all(ast.AugAssign, within):
        if script.of(each.value) == loss:
            edits.append(script.replaced(each.value, f"{loss}.item()"))
    for call in script.all(ast.Call, within):
        appends = isinstance(call.func, ast.Attribute) and call.func.attr == "append"
        if appends and call.args and script.of(call.args[0]) == loss:
            edits.append(script.replaced(call.args[0], f"{loss}.item()"))
    if edits:
        yield Patch(
            says=Phrase("{code} gathered, not its graph", code=f"{loss}.item()"),
            script=script.edited(edits),
        )


@PATCHES.register("unfreeze", cures=("frozen-parameters",))
def unfreeze(script: Script, finding: Finding) -> Iterator[Patch]:
    """All parameters want a gradient when the optimizer is made."""
    training = Training(script)
    line = f"{training.model}.requires_grad_(True)"
    if line not in script.text:
        yield Patch(
            says=Phrase("{code} before the optimizer is made", code=line),
            script=script.edited([script.before(training.optimizer_statement, line)]),
        )
