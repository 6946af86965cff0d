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
    above: set[int] = set()
    parameters: dict[int, list[str]] = {}
    buffers: dict[int, list[str]] = {}

    def walk(module: nn.Module, path: str) -> None:
        key = id(module)
        if key not in modules:
            modules.add(key)
            found.modules.append((module, path))
        own = module.__dict__
        try:
            held, kept, inner = own["_parameters"], own["_buffers"], own["_modules"]
        except KeyError:  # scripted modules keep their parts elsewhere
            held, kept, inner = module._parameters, module._buffers, module._modules
        prefix = path + "." if path else ""
        if held:
            _note(found.parameters, parameters, held, prefix)
        if kept:
            _note(found.buffers, buffers, kept, prefix)
        if inner:
            above.add(key)
            for name, part in inner.items():
                if part is not None and id(part) not in above:  # a part may hold its owner
                    walk(part, prefix + name)
            above.discard(key)

    walk(model, "")
    return found


def _note(parts: list[Any], known: dict[int, list[str]], held: Any, prefix: str) -> None:
    for name, part in held.items():
        if part is None:
            continue
        key = id(part)
        if key in known:
            known[key].append(prefix + name)
        else:
            known[key] = paths = [prefix + name]
            parts.append((part, paths))
