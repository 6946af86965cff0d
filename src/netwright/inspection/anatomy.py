"""The parts of a network in one walk: modules, parameters and buffers with all their paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Anatomy:
    """Each distinct part once, in the order of `named_modules` and `named_parameters`, with its
    paths: a tied parameter has several, and so have those of a shared module."""

    modules: list[tuple[nn.Module, str]] = field(default_factory=list)
    parameters: list[tuple[nn.Parameter, list[str]]] = field(default_factory=list)
    buffers: list[tuple[Tensor, list[str]]] = field(default_factory=list)


def anatomy(model: nn.Module) -> Anatomy:
    """Walk `model`.

    >>> shared = nn.Linear(2, 2, bias=False)
    >>> [paths for _, paths in anatomy(nn.Sequential(shared, shared)).parameters]
    [['0.weight', '1.weight']]
    """
    found = Anatomy()
    modules: set[int] = set()
    parameters: dict[int, list[str]] = {}
    buffers: dict[int, list[str]] = {}

    def walk(module: nn.Module, path: str, above: tuple[int, ...]) -> None:
        key = id(module)
        if key not in modules:
            modules.add(key)
            found.modules.append((module, path))
        prefix = path + "." if path else ""
        own = module.__dict__
        held = own.get("_parameters")
        if held is None:  # scripted modules keep their parts elsewhere
            held = module._parameters
        if held:
            _note(found.parameters, parameters, held, prefix)
        held = own.get("_buffers")
        if held is None:
            held = module._buffers
        if held:
            _note(found.buffers, buffers, held, prefix)
        held = own.get("_modules")
        if held is None:
            held = module._modules
        if held:
            above = (*above, key)
            for name, part in held.items():
                if part is not None and id(part) not in above:  # a part may hold its owner
                    walk(part, prefix + name, above)

    walk(model, "", ())
    return found


def _note(parts: list[Any], known: dict[int, list[str]], held: Any, prefix: str) -> None:
    for name, part in held.items():
        if part is None:
            continue
        paths = known.get(id(part))
        if paths is None:
            known[id(part)] = paths = [prefix + name]
            parts.append((part, paths))
        else:
            paths.append(prefix + name)
