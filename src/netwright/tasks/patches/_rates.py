"""The learning rate in the source: a number, a constant, an option's default, or an expression."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training

DEFAULTS = {"SGD": 1e-3, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 1e-2, "Adagrad": 1e-2}


def with_rate(script: Script, change: Callable[[float], float], factor: str) -> tuple[Script, str]:
    """The script with another rate, and what was changed as `old -> new`. Where the rate is no
    number that can be found it is multiplied by `factor`."""
    training = Training(script)
    call = training.optimizer
    given = rate_of(training, call)
    edits, said = [], ""
    if peaks := _peaks(training):
        # Such a schedule sets the rate from the first step on: the optimizer's own counts nothing.
        for peak in peaks:
            edit, said = _changed(training, peak, change, factor)
            edits.append(edit)
    elif given is None:
        old = DEFAULTS.get(training.names.called(call))
        if old is None:
            raise CannotPatchError("no rate")
        edits.append(script.with_argument(call, "lr", written(change(old))))
        said = f"{old:g} -> {written(change(old))}"
    else:
        edit, said = _changed(training, given, change, factor)
        edits.append(edit)
    return script.edited(edits), said


def _peaks(training: Training) -> list[ast.expr]:
    """The highest rates of schedules that are told these."""
    found = [e for e in training.schedules if training.names.called(e) == "OneCycleLR"]
    peaks = [argument(each, "max_lr", 1) for each in found]
    return [each for each in peaks if each is not None]


def rate_of(training: Training, call: ast.Call) -> ast.expr | None:
    """The expression of an optimizer's rate; None where it is left at its default."""
    groups = [
        key
        for node in ast.walk(call)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and key.value == "lr"
    ]
    if groups or any(each.arg is None for each in call.keywords):
        raise CannotPatchError("rates of several groups")
    return argument(call, "lr", 1)


def argument(call: ast.Call, name: str, place: int) -> ast.expr | None:
    for each in call.keywords:
        if each.arg == name:
            return each.value
    return call.args[place] if len(call.args) > place else None


def _changed(
    training: Training, given: ast.expr, change: Callable[[float], float], factor: str
) -> tuple[Edit, str]:
    script = training.script
    source = constant(training, given)
    if source is not None:
        old = number(source)
        assert old is not None
        new = written(change(old))
        return script.replaced(source, new), f"{script.of(source)} -> {new}"
    text = script.of(given)
    if not isinstance(given, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        text = f"({text})"
    return script.replaced(given, f"{factor} * {text}"), f"{factor} x {text}"


def constant(training: Training, node: ast.expr) -> ast.expr | None:
    """The number that an expression is: itself, or the one that a name is assigned only once."""
    if number(node) is not None:
        return node
    if not isinstance(node, ast.Name):
        return None
    script = training.script
    stores = [
        each
        for each in script.all(ast.Name)
        if each.id == node.id and isinstance(each.ctx, ast.Store | ast.Del)
    ]
    taken = any(each.arg == node.id for each in script.all(ast.arg))
    if len(stores) != 1 or taken:
        return None
    place = script.enclosing(stores[0])
    if isinstance(place, ast.Assign) and len(place.targets) == 1:
        target, value = place.targets[0], place.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
            value = next((v for t, v in pairs if t is stores[0]), value)
        elif target is not stores[0]:
            return None
        return value if number(value) is not None else None
    if isinstance(place, ast.AnnAssign) and place.value is not None:
        return place.value if number(place.value) is not None else None
    return None


def number(node: ast.AST | None) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return None if isinstance(node.value, bool) else float(node.value)
    return None


def written(value: float) -> str:
    """
    >>> written(0.1 * 0.3), written(1e-3 * 0.01), written(10.0)
    ('0.03', '1e-05', '10.0')
    """
    text = f"{value:.3g}"
    return text if "e" in text or "." in text else f"{text}.0"
