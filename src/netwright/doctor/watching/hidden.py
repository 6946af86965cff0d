"""What a loss depends on and its model does not know: layers in plain lists or in functions,
parameters made in the forward pass."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import types
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.records.facts.wiring import Wiring

DEEPEST = 3
"""Lists within lists that are looked into."""

MOST = 2000
"""Things within the attributes of a model after which the search ends."""

FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


class Hidden:
    """Looks at the graphs of the first two losses, and never again."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.fact = Wiring()
        self._model = model
        self._optimizers = optimizers
        self._nobodys: list[int] = []
        self._looked = 0
        self._plain: list[weakref.ref[Tensor]] = []

    @property
    def done(self) -> bool:
        return self._looked >= 2

    def look(self, loss: Tensor) -> None:
        self._looked += 1
        known = {id(each) for each in self._model.parameters()}
        leaves = [each for each in leaves_behind(loss) if id(each) not in known]
        if not leaves:
            return
        held = {
            id(each)
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for each in group["params"]
        }
        unknown = {id(each): each for each in leaves}
        places: dict[str, None] = {}
        found: dict[int, Tensor] = {}
        before = {id(each()) for each in self._plain}
        self._plain = []
        for place, tensor in itertools.islice(hidden_in(self._model), MOST):
            if tensor.is_leaf and not isinstance(tensor, nn.Parameter):
                # A batch that a model keeps for later, to ask for its gradient, is another each
                # time; weights stay.
                self._plain.append(weakref.ref(tensor))
                if id(tensor) not in before:
                    continue
            for each in (tensor,) if tensor.is_leaf else leaves_behind(tensor):
                # Behind a result that is kept for later lies what other modules own.
                elsewhere = not tensor.is_leaf and _in_a_module(each)
                if id(each) in unknown and not elsewhere and not _in_an_optimizer(each, held):
                    places[place] = None
                    found[id(each)] = each
        nobodys = [
            each
            for key, each in unknown.items()
            if key not in found
            and key not in held
            and isinstance(each, nn.Parameter)
            and not _in_a_module(each)
        ]
        # Counted where the loss before had such a one too, and it was another.
        anew = [each for each in nobodys if id(each) not in self._nobodys] if self._nobodys else []
        self._nobodys = [id(each) for each in nobodys]
        self._kept = nobodys  # so that an `id` is not given away meanwhile
        self.fact = Wiring(
            hidden=tuple(places),
            hidden_numel=sum(each.numel() for each in found.values()),
            hidden_held=bool(found) and all(key in held for key in found),
            made_anew=len(anew),
            registered_numel=sum(each.numel() for each in self._model.parameters()),
        )
        if self.done:
            del self._kept
            self._plain = []


def leaves_behind(tensor: Tensor, most: int = 50_000) -> Iterator[Tensor]:
    """The leaves of the graph of `tensor` that would get a gradient."""
    waiting: list[Any] = [tensor.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < most:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
        waiting += [each for each, _ in node.next_functions]


def hidden_in(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters that plain lists, dicts, functions and objects of a model hold, and plain
    tensors that ask for a gradient or were computed of what does, with their place."""
    seen: set[int] = set()
    for name, module in model.named_modules():
        for attribute, value in list(vars(module).items()):
            if not attribute.startswith("_") and not isinstance(value, nn.Module):
                start = f"{name}.{attribute}" if name else attribute
                yield from _within(start, value, DEEPEST, seen)


def _within(place: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, nn.Module):
        for each in value.parameters():
            yield place, each
        return
    if isinstance(value, Tensor):
        if isinstance(value, nn.Parameter) or value.requires_grad:
            yield place, value
        return
    if not depth or id(value) in seen or len(seen) > MOST:
        return
    if isinstance(value, dict):
        parts = [(f"{place}[{key!r}]", each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{place}[{number}]", each) for number, each in enumerate(value)]
    elif isinstance(value, FUNCTIONS):
        parts = [(place, each) for each in _closed_over(value)]
    elif type(value).__module__ != "builtins" and hasattr(value, "__dict__"):
        if isinstance(value, type | types.ModuleType):
            return
        parts = [(f"{place}.{key}", each) for key, each in vars(value).items()]
    else:
        return
    seen.add(id(value))
    for inner, each in parts:
        yield from _within(inner, each, depth - 1, seen)


def _closed_over(function: Any) -> Iterator[Any]:
    """What a function holds besides its arguments."""
    if isinstance(function, functools.partial):
        yield from (function.func, *function.args, *function.keywords.values())
        return
    if isinstance(function, types.MethodType):
        yield function.__self__
        function = function.__func__
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a cell that is empty yet
            yield cell.cell_contents


def _in_an_optimizer(parameter: Tensor, held: set[int]) -> bool:
    """Whether an optimizer that is not this model's holds it: part of another network."""
    if id(parameter) in held:
        return False
    return any(
        isinstance(group, dict) and group.get("params") is each
        for each in gc.get_referrers(parameter)
        if isinstance(each, list)
        for group in gc.get_referrers(each)
    )


def _in_a_module(parameter: Tensor) -> bool:
    """Whether some module, of this model or of another, has it as its own."""
    holders = gc.get_referrers(parameter)
    return any(
        isinstance(each, dict)
        and any(isinstance(owner, dict | nn.Module) for owner in gc.get_referrers(each))
        for each in holders
        if isinstance(each, dict)
        and all(isinstance(key, str) for key in list(each)[:3])
        and any(value is parameter for value in each.values())
        and "__builtins__" not in each
    )
