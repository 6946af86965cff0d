"""Which layer to blame: a wrong gradient makes all those before it wrong as well.

Each layer is checked alone, on the input that it got, from the outside in. One that is wrong while
all its parts are right is wrong in its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.gradients.copies import copied, doubled, mapped
from netwright.inspection.gradients.examination import Examination
from netwright.inspection.gradients.rehearsal import Rehearsal

WRONG = ("wrong", "not finite")
"""Verdicts that somebody is to blame for."""

Calls = dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]]


def blamed(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    tolerance: float,
    seed: int,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the layers whose own backward pass is wrong, "" for the model's; and of those
    that cannot be called alone. The model is copied."""
    if isinstance(model, torch.jit.ScriptModule):  # takes no hook, so nobody sees its layers' input
        return (), ()
    twin = copied(model)
    calls = _calls(twin, args, kwargs)
    found: list[str] = []
    unsearched: list[str] = []

    def is_wrong(module: nn.Module, path: str) -> bool:
        given, named = calls[module]
        try:
            rehearsal = Rehearsal(module, given, named)
            rows = Examination(
                rehearsal, directions=1, entries=0, tolerance=tolerance, seed=seed
            ).rows()
        except SettingError:
            unsearched.append(path)
            return False
        return any(each.verdict in WRONG for each in rows)

    def search(module: nn.Module, path: str) -> None:
        wrong = [(p, m) for p, m in _parts(module, path) if m in calls and is_wrong(m, p)]
        for inner, part in wrong:
            search(part, inner)
        if not wrong:
            found.append(path)

    search(twin, "")
    return tuple(dict.fromkeys(found)), tuple(unsearched)


def _parts(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers it is made of; of a mere list of layers these in its place."""
    for name, each in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(each, nn.ModuleList | nn.ModuleDict):
            yield from _parts(each, inner)
        else:
            yield inner, each


def _calls(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Calls:
    """What each module is called with, the first time."""
    calls: Calls = {}

    def fresh(value: Any) -> Any:
        """A copy that wants a gradient where what was handed over carries one."""

        def change(tensor: Tensor, _: str) -> Tensor:
            made = doubled(tensor)
            return made.requires_grad_() if tensor.requires_grad else made

        return mapped(value, change)

    def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if module not in calls:
            calls[module] = fresh(given), fresh(named)

    removers: list[Callable[[], None]] = [
        each.register_forward_pre_hook(note, with_kwargs=True).remove
        for each in model.modules()
        if not isinstance(each, torch.jit.ScriptModule)
    ]
    try:
        with torch.enable_grad():
            model(*map(fresh, args), **fresh(dict(kwargs)))
    finally:
        for remove in removers:
            remove()
    return calls
