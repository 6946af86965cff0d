"""The mode is set where training and where an evaluation begin."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Edit, Script
from netwright.tasks.source.training import Training


@PATCHES.register("set-mode", cures=("wrong-mode",))
def set_mode(script: Script, finding: Finding) -> Iterator[Patch]:
    """`model.train()` at the top of the loop that trains, `model.eval()` before each block without
    gradients that calls the model."""
    training = Training(script)
    edits = [*_trains(training), *_evaluates(training)]
    if edits:
        yield Patch(
            says=Phrase("the mode set before training and before evaluation"),
            script=script.edited(edits),
        )


def _trains(training: Training) -> Iterator[Edit]:
    script = training.script
    loops = training.loops(training.backward)
    model = training.model_here
    if not loops:
        body = script.scope(training.backward).body
        if not any(_sets(training, each, model, "train") for each in body):
            yield script.before(training.backward_statement, f"{model}.train()")
        return
    inner = loops[0]
    evals = [each for each in training.modes("eval") if inner in set(script.above(each))]
    evals += [
        each
        for each in script.all(ast.Call, inner)
        if isinstance(each.func, ast.Name) and _evaluating(training, each.func.id)
    ]
    loop = inner if evals else loops[-1]
    if len(loops) == 1 and not evals:
        # The loop over batches of a function: once before it, or in the loop that calls it.
        block = script.block(loop)
        if not any(_sets(training, each, model, "train") for each in block[: block.index(loop)]):
            yield script.before(loop, f"{model}.train()")
        return
    if not any(_sets(training, each, model, "train") for each in loop.body):
        yield script.before(loop.body[0], f"{model}.train()")


def _sets(training: Training, place: ast.stmt, model: str, mode: str) -> bool:
    return isinstance(place, ast.Expr) and place.value in [
        each for each in training.modes(mode) if training.receiver(each) == model
    ]


def _evaluating(training: Training, name: str) -> bool:
    """Whether a function of the script takes no gradients."""
    found = [e for e in training.script.all(ast.FunctionDef) if e.name == name]
    if len(found) != 1:
        return False
    return found[0] in _free_functions(training) or bool(list(_blocks(training, found[0])))


def _evaluates(training: Training) -> Iterator[Edit]:
    script = training.script
    for place in _blocks(training, script.tree):
        scope = script.scope(place)
        model = training.model
        if not isinstance(scope, ast.Module) and scope is not script.scope(training.optimizer):
            taken = [each.arg for each in scope.args.args]
            called = {
                each.func.id
                for each in script.all(ast.Call, place)
                if isinstance(each.func, ast.Name) and each.func.id in taken
            }
            if model not in called and len(called) != 1:
                continue
            model = model if model in called else called.pop()
        elif not any(script.of(each.func) == model for each in script.all(ast.Call, place)):
            continue
        block = script.block(place)
        if not any(_sets(training, e, model, "eval") for e in block[: block.index(place)]):
            yield script.before(place, f"{model}.eval()")
    for function in _free_functions(training):
        taken = [each.arg for each in function.args.args]
        called = {script.of(each.func) for each in script.all(ast.Call, function)}
        models = {training.model} & called or set(taken) & called
        if len(models) != 1:
            continue
        model = models.pop()
        if not any(_sets(training, e, model, "eval") for e in function.body):
            yield script.before(_first(function), f"{model}.eval()")


def _free_functions(training: Training) -> Iterator[ast.FunctionDef]:
    """Functions that take no gradients as a whole."""
    for each in training.script.all(ast.FunctionDef):
        marks = [e.func if isinstance(e, ast.Call) else e for e in each.decorator_list]
        free = any(training.names.torch(e) in ("no_grad", "inference_mode") for e in marks)
        if free and training.backward_statement not in set(ast.walk(each)):
            yield each


def _first(function: ast.FunctionDef) -> ast.stmt:
    """The first statement that is no docstring."""
    first = function.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1] if told and len(function.body) > 1 else first


def _blocks(training: Training, within: ast.AST) -> Iterator[ast.With]:
    for each in training.script.all(ast.With, within):
        for item in each.items:
            node = item.context_expr
            free = training.names.called(node) in ("no_grad", "inference_mode")
            if free and training.backward_statement not in set(ast.walk(each)):
                yield each
