"""Copies in float64: of a network with its weights and buffers, of inputs however they are nested.

Hooks of other people are not copied, for they may write down what is none of theirs; those of
torch, which compute weights, are.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def copied(model: nn.Module, *, double: bool = True) -> nn.Module:
    """A deep copy, with `double` in float64; tied weights are tied in it too.

    Raises `SettingError` for a network without values, or one that cannot be copied.
    """
    kind = type(model).__name__
    tensors = [*model.parameters(), *model.buffers()]
    if any(nn.parameter.is_lazy(each) for each in tensors):
        raise SettingError(
            "{model} has parameters without a shape yet.",
            hint="Call it once with a batch first.",
            model=kind,
        )
    if any(each.is_meta for each in tensors):
        raise SettingError(
            "{kind} has no weights with values: nothing can be run.",
            hint="Give a module that is not on the meta device.",
            kind=kind,
        )
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:  # as weight_norm leaves behind
                memo[id(value)] = value.detach().clone()
            elif isinstance(value, torch.Generator):
                memo[id(value)] = value.clone_state()
    try:
        # Without gradients: the copy of a scripted module would lead back to the original.
        with _without_hooks(model), torch.no_grad():
            made = copy.deepcopy(model, memo)
        if double:
            made = made.double()
            for module in made.modules():
                for name, value in vars(module).items():
                    if isinstance(value, Tensor):
                        setattr(module, name, doubled(value))
    except Exception as error:
        raise SettingError(
            "{kind} cannot be copied into float64: {reason}",
            hint="Gradients are checked on a copy in float64, on a device that has it.",
            kind=kind,
            reason=str(error).partition("\n")[0] or type(error).__name__,
        ) from error
    for parameter, original in zip(made.parameters(), model.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
        parameter.grad = None
    return made


def doubled(value: Tensor) -> Tensor:
    """A detached copy, in float64 where it holds real numbers with a point."""
    made = value.detach().clone()
    return made.double() if made.is_floating_point() else made


def mapped(value: Any, change: Callable[[Tensor, str], Any], path: str = "") -> Any:
    """`value` with `change(tensor, path)` in place of each tensor in it, and generators cloned;
    tuples, lists, mappings and dataclasses are gone through, all else stays.

    >>> mapped({"a": [torch.ones(1), 2]}, lambda tensor, path: path, "x")
    {'a': ['x.a.0', 2]}
    """
    if isinstance(value, Tensor):
        return change(value, path)
    if isinstance(value, Mapping) and type(value) in (dict, OrderedDict):
        kind: Any = type(value)
        return kind((k, mapped(v, change, f"{path}.{k}")) for k, v in value.items())
    if isinstance(value, tuple | list):
        made = [mapped(each, change, f"{path}.{number}") for number, each in enumerate(value)]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made_of = copy.copy(value)
        for each in dataclasses.fields(value):
            inner = mapped(getattr(value, each.name), change, f"{path}.{each.name}")
            object.__setattr__(made_of, each.name, inner)
        return made_of
    return value.clone_state() if isinstance(value, torch.Generator) else value


def generators_in(model: nn.Module) -> Iterator[torch.Generator]:
    """The random generators that modules hold themselves."""
    for module in model.modules():
        yield from (e for e in vars(module).values() if isinstance(e, torch.Generator))


@contextlib.contextmanager
def _without_hooks(model: nn.Module) -> Iterator[None]:
    """Meanwhile the modules have only those hooks that torch itself put there."""
    modules = list(model.modules())
    kept = [
        (each, name, each.__dict__[name])
        for each in modules
        for name in HOOKS
        if name in each.__dict__  # scripted modules keep theirs elsewhere
    ]
    try:
        for each, name, hooks in kept:
            each.__dict__[name] = OrderedDict(
                (key, hook) for key, hook in hooks.items() if _of_torch(hook)
            )
        yield
    finally:
        for each, name, hooks in kept:
            each.__dict__[name] = hooks


def _of_torch(hook: Any) -> bool:
    made_in = getattr(hook, "__module__", None) or type(hook).__module__
    return str(made_in).startswith("torch.")
