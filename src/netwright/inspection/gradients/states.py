"""What modules keep from one call to the next: every evaluation begins with the same."""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

HOLDERS = (list, dict, set, deque)


class States:
    """Buffers, attributes, and what stands in lists and mappings that are attributes."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        every = [each for one in modules for each in one.modules()]
        self._names = [
            (names, dict(names))
            for each in every
            for names in (vars(each), each._buffers, each._parameters)
            if isinstance(names, dict)  # those of a scripted module are not
        ]
        values = [value for each in every for value in _own(each)]
        self._holders = [(each, copy.copy(each)) for each in values if isinstance(each, HOLDERS)]
        inside = [one for each, _ in self._holders for one in _inside(each)]
        buffers = [buffer for each in every for buffer in each.buffers(recurse=False)]
        tensors = {id(t): t for t in (*buffers, *values, *inside) if isinstance(t, Tensor)}
        self._tensors = [(each, each.detach().clone()) for each in tensors.values()]

    @contextlib.contextmanager
    def kept(self, others: Iterable[tuple[Tensor, Tensor]] = ()) -> Iterator[None]:
        """After the block all is as it was at the beginning, and so are the `others`: tensors, and
        what they held."""
        written = [(each, each._version, then) for each, then in (*self._tensors, *others)]
        try:
            yield
        finally:
            for now, names in self._names:
                if not _same(now, names):
                    now.clear()
                    now.update(names)
            for holder, content in self._holders:
                if not _same(holder, content):
                    _refill(holder, content)
            with torch.no_grad():
                for tensor, version, value in written:
                    if tensor._version != version:
                        tensor.detach().copy_(value)


def _own(module: nn.Module) -> Iterator[Any]:
    """The attributes that are not the machinery of every module."""
    usual = vars(nn.Module()).keys()
    return (value for name, value in vars(module).items() if name not in usual)


def _inside(holder: Any) -> Iterable[Any]:
    return list(holder.values()) if isinstance(holder, dict) else list(holder)


def _same(one: Any, other: Any) -> bool:
    """Whether both hold the same objects under the same names."""
    if len(one) != len(other):
        return False
    if isinstance(one, dict):
        return all(name in one and one[name] is value for name, value in other.items())
    if isinstance(one, set):
        return bool(one == other)
    return all(a is b for a, b in zip(one, other, strict=True))


def _refill(holder: Any, content: Any) -> None:
    holder.clear()
    holder.extend(content) if isinstance(holder, list | deque) else holder.update(content)
