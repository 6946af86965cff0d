"""The softmax or sigmoid that stands before the loss: where it is, and the script without it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training, at_end_of


def without_last(script: Script, module: str, function: str) -> Script:
    """The script without the one activation (`Softmax`, `softmax`) between model and loss."""
    training = Training(script)
    for found in (
        list(_before_the_loss(training, module, function)),
        list(_at_the_end(training, module, function)),
    ):
        if len(found) == 1:
            return script.edited([removed(training, found[0])])
        if len(found) > 1:
            raise CannotPatchError(f"several {function}")
    alone = training.made(module)
    if len(alone) != 1:
        raise CannotPatchError(f"{len(alone)} {module}")
    return script.edited([removed(training, alone[0])])


def applied(training: Training, node: ast.expr, module: str, function: str) -> bool:
    """Whether an expression is this activation of something."""
    if not isinstance(node, ast.Call):
        return False
    if training.names.called(node) == function:
        return bool(node.args)
    if isinstance(node.func, ast.Attribute) and node.func.attr == function:
        return not training.names.torch(node.func)
    if isinstance(node.func, ast.Call):
        return training.names.called(node.func) == module
    made = {training.assigned(each) for each in training.made(module)} - {""}
    return training.script.of(node.func) in made


def _before_the_loss(training: Training, module: str, function: str) -> Iterator[ast.Call]:
    """Between the call of the model and the loss."""
    try:
        node = training.pair[0]
    except CannotPatchError:
        return
    for _ in range(6):
        if isinstance(node, ast.Call) and applied(training, node, module, function):
            yield node
            return
        if isinstance(node, ast.Name):
            value = training.value_of(node)
            if value is None:
                return
            node = value
        elif isinstance(node, ast.Call) and training.names.called(node) and node.args:
            node = node.args[0]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("squeeze", "view", "reshape", "flatten", "float")
        ):
            node = node.func.value
        else:
            return


def _at_the_end(training: Training, module: str, function: str) -> Iterator[ast.Call]:
    """At the end of a network: of what a forward returns, or of a Sequential that is no part of
    another one."""
    script = training.script
    for each in training.made("Sequential"):
        around = script.parents.get(each)
        inner = isinstance(around, ast.Call) and training.names.called(around) == "Sequential"
        last = each.args[-1] if each.args else None
        if not inner and isinstance(last, ast.Call) and training.names.called(last) == module:
            yield last
    for forward in script.all(ast.FunctionDef):
        if forward.name != "forward":
            continue
        for value in at_end_of(forward):
            node: ast.expr | None = value
            if isinstance(node, ast.Name):
                node = training.value_of(node)
            while isinstance(node, ast.Call) and _shapes(node):
                assert isinstance(node.func, ast.Attribute)
                node = node.func.value
            if node is not None and applied(training, node, module, function):
                assert isinstance(node, ast.Call)
                yield node


def _shapes(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in (
        "squeeze", "view", "reshape", "flatten",
    )  # fmt: skip


def removed(training: Training, node: ast.Call) -> Edit:
    """What is left of an activation that is taken away: what it was applied to, or nothing."""
    script = training.script
    around = script.parents[node]
    if training.names.called(node)[:1].isupper():  # made, not applied
        if isinstance(around, ast.Call) and training.names.called(around) == "Sequential":
            return script.without_item(around, node)
        place = script.enclosing(node)
        func = around.func if isinstance(around, ast.Call) else None
        appended = isinstance(func, ast.Attribute) and func.attr == "append"
        if isinstance(place, ast.Expr) and appended:
            return script.without(place)
        return script.replaced(node, f"{training.names.spelled('torch.nn.Identity')}()")
    method = (
        isinstance(node.func, ast.Attribute)
        and not training.names.torch(node.func)
        and node.func.attr in ("softmax", "sigmoid", "tanh")
        and script.of(node.func.value) != "self"
    )
    inner = node.func.value if method else node.args[0]  # type: ignore[attr-defined]
    text = script.of(inner)
    if isinstance(around, ast.Assign) and [script.of(e) for e in around.targets] == [text]:
        return script.without(around)
    return script.replaced(node, text if not loose(inner, around) else f"({text})")


def loose(inner: ast.expr, around: ast.AST) -> bool:
    """Whether an expression needs parentheses in its new place."""
    tight = ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.Constant | ast.Tuple
    if isinstance(inner, tight):
        return False
    return not isinstance(around, ast.Return | ast.Assign | ast.Call | ast.Expr | ast.keyword)
