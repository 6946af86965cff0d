"""From the function that trains to where it is called: what its arguments are named there."""

from __future__ import annotations

import ast

from netwright.tasks.source.script import CannotPatchError, Scope
from netwright.tasks.source.training import Training, arguments, only


def model_trained(training: Training) -> str:
    """What the model that the loop calls is named where the optimizer is made; "" where that
    cannot be told."""
    name, scope = training.model_here, training.scope
    made_in = training.script.scope(training.optimizer)
    for _ in range(4):
        if scope is made_in or "." in name:
            return name
        if isinstance(scope, ast.Module):
            return ""
        if name not in [each.arg for each in arguments(scope)]:
            return name if isinstance(made_in, ast.Module) else ""
        call, name = outside(training, name, scope)
        scope = training.script.scope(call)
    return ""


def outside(training: Training, name: str, scope: Scope | None = None) -> tuple[ast.Call, str]:
    """The one call of the function that trains (or of `scope`), and what its argument `name` is
    called there; a name that is no argument keeps its own."""
    scope = scope if scope is not None else training.scope
    if isinstance(scope, ast.Module):
        raise CannotPatchError("not in a function")
    call = only(training.calls_of(scope.name), f"calls of {scope.name}")
    taken = [each.arg for each in arguments(scope)]
    if isinstance(call.func, ast.Attribute) and taken[:1] == ["self"]:
        taken = taken[1:]
    if name not in taken:
        return call, name
    given = {each.arg: each.value for each in call.keywords}
    place = taken.index(name)
    value = given.get(name, call.args[place] if place < len(call.args) else None)
    if not isinstance(value, ast.Name | ast.Attribute):
        raise CannotPatchError(f"{name} has no name where {scope.name} is called")
    return call, training.script.of(value)
