"""Where a script trains: the backward pass, its loop, the optimizer and its step, the loss, the
model. Where several places answer and cannot be told apart, nothing is answered."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from typing import TypeVar

from netwright.tasks.source.names import Names
from netwright.tasks.source.script import CannotPatchError, Scope, Script

LOSSES = {
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "soft_margin_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss",
}  # fmt: skip

T = TypeVar("T")

Loop = ast.For | ast.AsyncFor | ast.While


class Training:
    """The training of one script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.names = Names(script)

    # The loop

    @functools.cached_property
    def backward(self) -> ast.Call:
        """The one backward pass."""
        found = [each for each in self._methods("backward") if not self._in_function_class(each)]
        return only(found, "backward passes")

    @property
    def backward_statement(self) -> ast.stmt:
        return self.script.statement(self.backward)

    @property
    def scope(self) -> Scope:
        return self.script.scope(self.backward)

    def loops(self, node: ast.AST) -> list[Loop]:
        """The loops around a node in its function, the innermost first."""
        found: list[Loop] = []
        for each in self.script.above(node):
            if isinstance(each, Scope):
                break
            if isinstance(each, Loop):
                found.append(each)
        return found

    @functools.cached_property
    def batches(self) -> Loop:
        """The loop that takes one batch after the other: the innermost around the backward pass,
        or around the call of the function that it stands in."""
        return self._loops[0]

    @property
    def epochs(self) -> Loop | None:
        """The loop around that one."""
        return self._loops[1] if len(self._loops) > 1 else None

    @functools.cached_property
    def _loops(self) -> list[Loop]:
        found = self.loops(self.backward)
        scope: Scope = self.scope
        for _ in range(4):
            if len(found) > 1 or isinstance(scope, ast.Module):
                break
            calls = self.calls_of(scope.name)
            if len(calls) != 1:
                break
            found += self.loops(calls[0])
            scope = self.script.scope(calls[0])
        if not found:
            raise CannotPatchError("no loop")
        return found

    @functools.cached_property
    def steps(self) -> list[ast.Call]:
        """The steps of an optimizer in the function of the backward pass."""
        found = [
            each
            for each in self._methods("step", within=self.scope)
            if not self._is_schedule(self.receiver(each))
        ]
        return [each for each in found if self.script.scope(each) is self.scope]

    @property
    def step(self) -> ast.Call:
        return only(self.steps, "steps")

    @property
    def stepped(self) -> str:
        """What the optimizer is called where it is stepped."""
        names = {self._optimizer_of(each) for each in self.steps}
        return only(sorted(names), "optimizers")

    def _optimizer_of(self, step: ast.Call) -> str:
        receiver = self.receiver(step)
        if "scaler" in receiver.lower() and step.args:
            return self.script.of(step.args[0])
        return receiver

    @property
    def optimizer_here(self) -> str:
        """What the optimizer is called in the function of the backward pass, stepped or not."""
        if self.steps:
            return self.stepped
        name = self.optimizer_name
        scope = self.scope
        if isinstance(scope, ast.Module) or self.script.scope(self.optimizer) is scope:
            return name
        taken = [each.arg for each in arguments(scope)]
        if name in taken:
            return name
        likely = [each for each in taken if each.lower().startswith("opt")]
        if likely:
            return only(likely, "optimizers")
        if name.startswith("self.") or isinstance(self.script.scope(self.optimizer), ast.Module):
            return name
        raise CannotPatchError("the optimizer has no name here")

    @functools.cached_property
    def clears(self) -> list[ast.Call]:
        """All calls of zero_grad."""
        return self._methods("zero_grad")

    @functools.cached_property
    def schedule_steps(self) -> list[ast.Call]:
        found = self._methods("step")
        return [each for each in found if self._is_schedule(self.receiver(each))]

    def receiver(self, call: ast.Call) -> str:
        assert isinstance(call.func, ast.Attribute)
        return self.script.of(call.func.value)

    def modes(self, name: str) -> list[ast.Call]:
        """The calls of `.train()` or `.eval()` of a model, by `name`."""
        return [e for e in self._methods(name) if not e.args and not e.keywords]

    # What is made

    @functools.cached_property
    def optimizer(self) -> ast.Call:
        """The call that makes the optimizer."""
        return only(self.optimizers, "optimizers")

    @functools.cached_property
    def optimizers(self) -> list[ast.Call]:
        return [
            each
            for each in self.calls()
            if self.names.full(each.func).startswith("torch.optim.")
            and ".lr_scheduler." not in self.names.full(each.func)
            and self.names.torch(each.func)[:1].isupper()
        ]

    @property
    def optimizer_statement(self) -> ast.stmt:
        return self.script.statement(self.optimizer)

    @property
    def optimizer_name(self) -> str:
        """What the optimizer is assigned to."""
        place = self.optimizer_statement
        single = isinstance(place, ast.Assign) and len(place.targets) == 1
        if isinstance(place, ast.Assign) and single and place.value is self.optimizer:
            return self.script.of(place.targets[0])
        if isinstance(place, ast.AnnAssign) and place.value is self.optimizer:
            return self.script.of(place.target)
        raise CannotPatchError("the optimizer is assigned to no name")

    @property
    def model(self) -> str:
        """What the model is called where the optimizer is made."""
        given = self.optimizer.args or [each.value for each in self.optimizer.keywords]
        found = {
            self.script.of(each.func.value)
            for one in given
            for each in ast.walk(one)
            if isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr in ("parameters", "named_parameters")
        }
        if not found:
            return self._trained()
        name = only(sorted(found), "models")
        own, dot, rest = name.partition(".")
        return f"{own}.{rest.partition('.')[0]}" if dot and own == "self" else own

    def _trained(self) -> str:
        found = {self.receiver(each) for each in self.modes("train")}
        return only(sorted(found), "models")

    @property
    def model_here(self) -> str:
        """What the model is called in the function of the backward pass."""
        scope = self.scope
        if isinstance(scope, ast.Module):
            return self.model
        call = self.model_call
        assert isinstance(call, ast.Call)
        return self.script.of(call.func)

    @functools.cached_property
    def schedules(self) -> list[ast.Call]:
        """The calls that make schedules of the rate."""
        return [
            each
            for each in self.calls()
            if self.names.full(each.func).startswith("torch.optim.lr_scheduler.")
        ]

    @functools.cached_property
    def loaders(self) -> list[ast.Call]:
        return [e for e in self.calls() if self.names.called(e) == "DataLoader"]

    @property
    def training_loader(self) -> ast.Call:
        """The loader whose batches are trained on."""
        if len(self.loaders) == 1:
            return self.loaders[0]
        walked = self.script.of(self.batches.iter) if isinstance(self.batches, ast.For) else ""
        for test in (
            lambda name: name and re.search(rf"\b{re.escape(name)}\b", walked),
            lambda name: re.search(r"train|\btr_", name, re.IGNORECASE),
        ):
            found = [e for e in self.loaders if test(self.assigned(e))]
            if len(found) == 1:
                return found[0]
        raise CannotPatchError("several loaders")

    def assigned(self, node: ast.AST) -> str:
        """The name that the value of a statement goes to, "" if it goes to none."""
        place = self.script.enclosing(node)
        if isinstance(place, ast.Assign) and len(place.targets) == 1:
            target, value = place.targets[0], place.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                for name, each in zip(target.elts, value.elts, strict=False):
                    if each is node:
                        return self.script.of(name)
                return ""
            return self.script.of(target) if value is node else ""
        return ""

    # The loss

    @functools.cached_property
    def losses_made(self) -> list[ast.Call]:
        """Calls such as nn.MSELoss()."""
        return [e for e in self.calls() if re.fullmatch(r"\w+Loss", self.names.called(e))]

    @functools.cached_property
    def loss_call(self) -> ast.Call:
        """The call of the loss whose gradient is taken."""
        return only(self._losses_in(self.loss), "losses")

    @functools.cached_property
    def loss(self) -> ast.expr:
        """The expression that gives the loss, before it is called by a name."""
        return self._source(self._taken)

    @property
    def _taken(self) -> ast.expr:
        """What the backward pass is called on, without a scaler's or accelerator's hands."""
        call = self.backward
        assert isinstance(call.func, ast.Attribute)
        taken: ast.expr = call.func.value
        name = taken.id.lower() if isinstance(taken, ast.Name) else ""
        if call.args and ("accel" in name or "fabric" in name):
            return call.args[0]
        func = taken.func if isinstance(taken, ast.Call) else None
        if isinstance(func, ast.Attribute) and func.attr == "scale":
            assert isinstance(taken, ast.Call)
            return taken.args[0] if taken.args else taken
        return taken

    def _losses_in(self, node: ast.expr) -> list[ast.Call]:
        made = {self.assigned(each) for each in self.losses_made} - {""}
        found = []
        for each in self.script.all(ast.Call, node):
            name = self.script.of(each.func)
            known = self.names.called(each) in LOSSES or name in made
            direct = isinstance(each.func, ast.Call) and each.func in self.losses_made
            likely = re.search(r"crit|loss", name, re.IGNORECASE) and len(each.args) == 2
            if known or direct or (likely and not re.match(r"\w*Loss$", self.names.called(each))):
                found.append(each)
        return found

    def _source(self, node: ast.expr, depth: int = 4) -> ast.expr:
        """What a name was last assigned before it is used, of names assigned once in the loop."""
        for _ in range(depth):
            inner = node
            while isinstance(inner, ast.BinOp | ast.UnaryOp):
                names = [e for e in ast.walk(inner) if isinstance(e, ast.Name)]
                if self._losses_in(inner) or len(names) != 1:
                    return inner
                inner = names[0]
            if not isinstance(inner, ast.Name | ast.Attribute):
                return node
            value = self.value_of(inner)
            if value is None:
                return node
            node = value
        return node

    def value_of(self, name: ast.expr) -> ast.expr | None:
        """What a name was assigned last before it is used, in the same function; None where that
        is not sure."""
        wanted, scope = self.script.of(name), self.script.scope(name)
        place = self.script.span(name)[0]
        found: list[ast.Assign] = [
            each
            for each in self.script.all(ast.Assign, scope)
            if self.script.scope(each) is scope
            and any(self.script.of(target) == wanted for target in each.targets)
            and self.script.span(each)[1] <= place
        ]
        return found[-1].value if found else None

    @functools.cached_property
    def pair(self) -> tuple[ast.expr, ast.expr]:
        """The output and the target that the loss is given."""
        call = self.loss_call
        named = {each.arg: each.value for each in call.keywords}
        given = [*call.args]
        for name in ("input", "target"):
            if name in named:
                given.append(named[name])
        if len(given) < 2 or any(isinstance(each, ast.Starred) for each in given):
            raise CannotPatchError("a loss of one argument")
        return given[0], given[1]

    @property
    def model_call(self) -> ast.expr:
        """The call of the model that the output comes from."""
        node = self.pair[0]
        for _ in range(6):
            if isinstance(node, ast.Name):
                value = self.value_of(node)
                if value is None:
                    break
                node = value
            elif isinstance(node, ast.Call):
                torch = self.names.called(node)
                if torch and node.args:
                    node = node.args[0]
                elif isinstance(node.func, ast.Attribute) and node.func.attr in SHAPING:
                    node = node.func.value
                else:
                    return node
            elif isinstance(node, ast.Subscript):
                node = node.value
            else:
                break
        raise CannotPatchError("no call of a model")

    # Nodes of a kind

    def calls(self, within: ast.AST | None = None) -> list[ast.Call]:
        return self.script.all(ast.Call, within)

    def made(self, *names: str) -> list[ast.Call]:
        """Calls of torch's classes or functions of these names."""
        return [each for each in self.calls() if self.names.called(each) in names]

    def _methods(self, name: str, within: ast.AST | None = None) -> list[ast.Call]:
        return [
            each
            for each in self.calls(within)
            if isinstance(each.func, ast.Attribute) and each.func.attr == name
        ]

    def calls_of(self, name: str) -> list[ast.Call]:
        return [
            each
            for each in self.calls()
            if (isinstance(each.func, ast.Name) and each.func.id == name)
            or (isinstance(each.func, ast.Attribute) and each.func.attr == name)
        ]

    def _is_schedule(self, name: str) -> bool:
        made = {self.assigned(each) for each in self.schedules} - {""}
        return name in made or "sched" in name.lower()

    def _in_function_class(self, node: ast.AST) -> bool:
        """Whether a call stands in an autograd function of the script's own."""
        return any(
            isinstance(each, ast.ClassDef)
            and any(self.names.torch(base) == "Function" for base in each.bases)
            for each in self.script.above(node)
        )


SHAPING = {
    "squeeze", "unsqueeze", "view", "reshape", "flatten", "float", "softmax", "sigmoid", "tanh",
    "log_softmax", "permute", "transpose", "view_as", "to", "clamp",
}  # fmt: skip
"""Methods of tensors that stand between a model's call and the loss."""


def at_end_of(node: ast.AST) -> Iterator[ast.expr]:
    """The values that a function returns."""
    for each in ast.walk(node):
        if isinstance(each, ast.Return) and each.value is not None:
            yield each.value


def arguments(scope: Scope) -> list[ast.arg]:
    """What a function takes; nothing of a module."""
    if isinstance(scope, ast.Module):
        return []
    given = scope.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def only(found: list[T], what: str) -> T:
    """The one thing that was found; `CannotPatchError` where there are several, or none."""
    if len(found) != 1:
        raise CannotPatchError(f"{len(found)} {what}")
    return found[0]
