"""Whose parameters an optimizer holds: the modules, found among all that are alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from netwright.doctor.watching.living import living

WRAPPERS = ("DistributedDataParallel", "DataParallel", "_FabricModule")
"""Modules around a model that only pass on: what stands in them is the model."""


@dataclass(frozen=True)
class Owned:
    """Optimizers that train modules in common, and those modules, the outermost ones.

    `strays` are the tensors that belong to no module.
    """

    optimizers: tuple[Optimizer, ...]
    modules: tuple[nn.Module, ...]
    strays: int = 0


class Several(nn.Module):
    """Modules that one optimizer trains side by side, an encoder and a decoder, as one model."""

    def __init__(self, modules: Sequence[nn.Module], names: Sequence[str]) -> None:
        super().__init__()
        for name, each in zip(names, modules, strict=True):
            self.add_module(name, each)

    @property
    def training(self) -> bool:
        """Whether any of them is in training mode: the loop sets each by itself."""
        return any(each.training for each in self._modules.values() if each is not None)

    @training.setter
    def training(self, mode: bool) -> None:
        """Nothing: `nn.Module` sets it of itself."""


def model_of(owned: Owned, names: dict[int, str] | None = None) -> nn.Module:
    """One model for the modules of `owned`; `names` are what the program calls them, by id."""
    modules = [_unwrapped(each) for each in owned.modules]
    if len(modules) == 1:
        return modules[0]
    taken: list[str] = []
    for each in modules:
        name = (names or {}).get(id(each)) or type(each).__name__.lower()
        free = name
        while free in taken or hasattr(nn.Module, free):
            free = f"{name}{len(taken) + 1}"
        taken.append(free)
    return Several(modules, taken)


def owners(optimizers: Sequence[Optimizer]) -> list[Owned]:
    """For each group of optimizers that have modules in common: the outermost of these modules.

    An optimizer of tensors that no module holds comes back without modules.
    """
    modules = [each for each in living(nn.Module) if "_parameters" in vars(each)]
    parents: dict[int, list[nn.Module]] = {}
    holders: dict[int, list[nn.Module]] = {}
    for module in modules:
        for child in vars(module)["_modules"].values():
            if child is not None:
                parents.setdefault(id(child), []).append(module)
        for parameter in vars(module)["_parameters"].values():
            if parameter is not None:
                holders.setdefault(id(parameter), []).append(module)
    found: list[Owned] = []
    for optimizer in optimizers:
        held = list(parameters_of(optimizer))
        outermost: dict[int, nn.Module] = {}
        for parameter in held:
            for holder in holders.get(id(parameter), ()):
                outermost.update((id(each), each) for each in _tops(holder, parents))
        strays = sum(id(parameter) not in holders for parameter in held)
        found = _joined(found, Owned((optimizer,), tuple(outermost.values()), strays))
    return found


def learning_unheld(held: set[int]) -> list[nn.Module]:
    """The outermost modules in which every parameter that wants a gradient has one, and none is
    among `held`, by id."""
    modules = [each for each in living(nn.Module) if "_parameters" in vars(each)]
    inner = {id(c) for m in modules if not isinstance(m, Several) for c in m.children()}
    found = []
    for each in modules:
        if id(each) in inner or isinstance(each, Several):
            continue
        wanted = [one for one in each.parameters() if one.requires_grad]
        learns = bool(wanted) and all(one.grad is not None for one in wanted)
        if learns and held.isdisjoint(id(one) for one in wanted):
            found.append(each)
    return found


def parameters_of(optimizer: Optimizer) -> Iterator[Any]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _tops(module: nn.Module, parents: dict[int, list[nn.Module]]) -> Iterable[nn.Module]:
    """The modules that no other holds, upward from `module`."""
    seen: set[int] = set()
    waiting = [module]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        above = [each for each in parents.get(id(each), ()) if not isinstance(each, Several)]
        waiting += above
        if not above:
            yield each


def _joined(found: list[Owned], new: Owned) -> list[Owned]:
    """`found` with `new`, those that share a module put together."""
    apart: list[Owned] = []
    for each in found:
        if {id(m) for m in each.modules}.isdisjoint(id(m) for m in new.modules):
            apart.append(each)
        else:
            modules = {id(m): m for m in (*each.modules, *new.modules)}
            new = Owned(
                (*each.optimizers, *new.optimizers),
                tuple(modules.values()),
                each.strays + new.strays,
            )
    return [*apart, new]


def _unwrapped(module: nn.Module) -> nn.Module:
    while type(module).__name__ in WRAPPERS and isinstance(module.module, nn.Module):
        module = module.module
    return module
