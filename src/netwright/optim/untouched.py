"""Work with someone's network as if it were one's own, and put everything back as it was.

The network itself is used, not a copy: a copy fails for networks that cannot be copied, and a
loss that closes over the network would still reach the original behind its back.
"""

from __future__ import annotations

import collections
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextlib.contextmanager
def untouched(
    *modules: nn.Module, tensors: Iterable[Tensor] = (), generators: Iterable[Any] = ()
) -> Iterator[None]:
    """Inside the block the gradients are empty; after it, however it ends, all is as it was.

    Bit for bit: parameters, buffers and other tensors of the `modules`, and `tensors` besides;
    their gradients (the same tensors) and `requires_grad`; training mode, module by module;
    attributes, down into lists, dicts, sets, deques and arrays; the random states of torch on
    every device in use, of NumPy and of Python, and of `generators`. Not covered are objects of
    other classes that a module holds.

    >>> layer = nn.Linear(1, 1)
    >>> before = layer.weight.clone()
    >>> with untouched(layer):
    ...     _ = layer.weight.data.zero_()
    >>> torch.equal(layer.weight, before)
    True
    """
    memory = _Memory()
    for module in modules:
        memory.keep(module)
        for each in (*module.parameters(), *module.buffers()):  # a scripted module hides its own
            memory.keep(each)
    for tensor in tensors:
        memory.keep(tensor)
    for generator in generators:
        memory.keep(generator)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            memory.clear_gradients()
            yield
        finally:
            memory.put_back()
            random.setstate(of_python)
            np.random.set_state(of_numpy)


class _Memory:
    """What objects held, and how each gets it back."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}  # by id, the objects themselves, so that no id is reused
        self._ways_back: list[Callable[[], None]] = []
        self._leaves: list[Tensor] = []

    def keep(self, value: Any) -> None:
        """Remember `value` and what it holds; what cannot change in place needs no memory."""
        if id(value) in self._kept:
            return
        if isinstance(value, Tensor):
            self._kept[id(value)] = value
            self._keep_tensor(value)
        elif isinstance(value, nn.Module):
            self._kept[id(value)] = value
            self._keep_mapping(vars(value))
            self._keep_mode(value)
        elif isinstance(value, dict):
            self._kept[id(value)] = value
            self._keep_mapping(value)
        elif isinstance(value, list | collections.deque):
            self._kept[id(value)] = value
            self._keep_sequence(value)
        elif isinstance(value, tuple):
            self._kept[id(value)] = value
            for each in value:
                self.keep(each)
        elif isinstance(value, set):
            self._kept[id(value)] = value
            self._keep_set(value)
        elif isinstance(value, np.ndarray):
            self._kept[id(value)] = value
            self._keep_array(value)
        elif isinstance(value, torch.Generator):
            self._kept[id(value)] = value
            self._keep_generator(value)

    def clear_gradients(self) -> None:
        for tensor in self._leaves:
            tensor.grad = None

    def put_back(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            for way in self._ways_back:
                way()

    def _keep_tensor(self, tensor: Tensor) -> None:
        content = tensor.detach().clone()
        gradient = tensor.grad if tensor.is_leaf else None
        learns = tensor.requires_grad
        if tensor.is_leaf:
            self._leaves.append(tensor)

        def back() -> None:
            tensor.detach().copy_(content)
            if tensor.is_leaf:
                tensor.grad = gradient
                tensor.requires_grad_(learns)

        self._ways_back.append(back)

    def _keep_mode(self, module: nn.Module) -> None:
        training = module.training

        def back() -> None:
            module.training = training

        self._ways_back.append(back)

    def _keep_mapping(self, mapping: dict[Any, Any]) -> None:
        items = list(mapping.items())

        def back() -> None:
            now = list(mapping.items())
            if len(now) != len(items) or any(
                a is not c or b is not d for (a, b), (c, d) in zip(now, items, strict=True)
            ):
                mapping.clear()
                mapping.update(items)

        self._ways_back.append(back)
        for _, value in items:
            self.keep(value)

    def _keep_sequence(self, sequence: list[Any] | collections.deque[Any]) -> None:
        content = list(sequence)

        def back() -> None:
            sequence.clear()
            sequence.extend(content)

        self._ways_back.append(back)
        for value in content:
            self.keep(value)

    def _keep_set(self, members: set[Any]) -> None:
        content = set(members)

        def back() -> None:
            members.clear()
            members.update(content)

        self._ways_back.append(back)

    def _keep_array(self, array: np.ndarray[Any, Any]) -> None:
        content = array.copy()

        def back() -> None:
            array[...] = content

        self._ways_back.append(back)

    def _keep_generator(self, generator: torch.Generator) -> None:
        state = generator.get_state()

        def back() -> None:
            generator.set_state(state)

        self._ways_back.append(back)
