"""What a loss depends on and its model does not know: layers in plain lists, parameters made in
the forward pass."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.records.facts.wiring import Wiring

DEEPEST = 3
"""Lists within lists that are looked into."""


class Hidden:
    """Looks at the graphs of the first two losses, and never again."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.fact = Wiring()
        self._model = model
        self._optimizers = optimizers
        self._nobodys: list[int] = []
        self._looked = 0
        self._plain: list[Tensor] = []

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
        before = {id(each) for each in self._plain}
        self._plain = []
        for place, tensor in hidden_in(self._model):
            if not isinstance(tensor, nn.Parameter):
                # A batch that a model keeps for later, to ask for its gradient, is another each
                # time; weights stay.
                self._plain.append(tensor)
                if id(tensor) not in before:
                    continue
            if id(tensor) in unknown:
                places[place] = None
                found[id(tensor)] = tensor
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
    """The parameters that plain lists, tuples and dicts of a model hold, and plain tensors that ask
    for a gradient, with their place."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            plain = isinstance(value, list | tuple | dict | Tensor)
            if attribute.startswith("_") or not plain:
                continue
            start = f"{name}.{attribute}" if name else attribute
            yield from _within(start, value, DEEPEST)


def _within(place: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, nn.Module):
        for each in value.parameters():
            yield place, each
    elif isinstance(value, Tensor):
        if isinstance(value, nn.Parameter) or (value.is_leaf and value.requires_grad):
            yield place, value
    elif depth and isinstance(value, dict):
        for key, each in value.items():
            yield from _within(f"{place}[{key!r}]", each, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _within(f"{place}[{number}]", each, depth - 1)


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
