"""Activations that pass gradients on, and weights drawn for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._activations import _at_the_end, _before_the_loss
from netwright.tasks.patches._placing import when_complete
from netwright.tasks.patches._rates import with_rate
from netwright.tasks.patches.initialisers import drawn
from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training

SATURATING = {"Sigmoid": "sigmoid", "Tanh": "tanh"}

RATES = (1.0, 0.3, 0.1)


@PATCHES.register("activation-and-start", cures=("vanishing-gradients", "saturated-units"))
def activation_and_start(script: Script, finding: Finding) -> Iterator[Patch]:
    """ReLU with He's start and tanh with Glorot's in the place of hidden sigmoids; ReLU at smaller
    rates too, for it passes on more."""
    relu = _exchanged(script, "ReLU", "relu", "kaiming", drop="Tanh")
    for factor in RATES:
        patched, says = relu, Phrase("ReLU, weights drawn by {rule}", rule="He")
        if factor < 1:
            patched, said = with_rate(relu, lambda old, f=factor: old * f, f"{factor:g}")  # type: ignore[misc]
            says = Phrase("{first}; learning rate {change}", first=says, change=said)
        yield Patch(says=says, script=patched)
    try:
        tanh = _exchanged(script, "Tanh", "tanh", "xavier", drop="")
    except CannotPatchError:
        return
    yield Patch(says=Phrase("tanh, weights drawn by {rule}", rule="Glorot"), script=tanh)


def _exchanged(script: Script, module: str, function: str, how: str, drop: str) -> Script:
    """The script with hidden sigmoids (and `drop`) exchanged, and weights drawn by `how`."""
    training = Training(script)
    edits: list[Edit] = []
    for old in filter(None, ("Sigmoid", drop)):
        last = {
            *_at_the_end(training, old, SATURATING[old]),
            *_before_the_loss(training, old, SATURATING[old]),
        }
        named = {training.script.of(e.func) for e in last}
        for each in training.calls():
            if each in last or training.assigned(each) in named - {""}:
                continue
            edits += _exchange(training, each, old, module, function)
        edits += _passed(training, old, module)
    if not edits:
        raise CannotPatchError("no hidden activation that saturates")
    return script.edited([*edits, when_complete(training, *drawn(training, how))])


def _exchange(
    training: Training, call: ast.Call, old: str, module: str, function: str
) -> Iterator[Edit]:
    script, func = training.script, call.func
    if training.names.called(call) == old:
        yield script.replaced(func, training.names.spelled(f"torch.nn.{module}"))
    elif training.names.called(call) == SATURATING[old]:
        text = script.of(func)
        yield script.replaced(func, text.removesuffix(SATURATING[old]) + function)
    elif (
        isinstance(func, ast.Attribute)
        and func.attr == SATURATING[old]
        and script.of(func.value) != "self"
        and not training.names.torch(func)
    ):
        end = script.span(func)[1]
        yield Edit(end - len(func.attr), end, function)


def _passed(training: Training, old: str, module: str) -> Iterator[Edit]:
    """The class itself, handed on: `act=nn.Sigmoid`."""
    for each in training.script.all(ast.Attribute):
        around = training.script.parents[each]
        called = isinstance(around, ast.Call) and around.func is each
        if training.names.torch(each) == old and not called:
            yield training.script.replaced(each, training.names.spelled(f"torch.nn.{module}"))
