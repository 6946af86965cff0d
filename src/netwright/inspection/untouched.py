"""Whatever a forward pass does to a network, it is undone: modes, attributes, buffers, gradients,
random numbers and torch's switches are afterwards what they were, also after an exception."""

from __future__ import annotations

import contextlib
import gc
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain, filterfalse
from operator import is_
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from netwright.core.unheard import unwarned
from netwright.inspection.anatomy import Anatomy

_CONTAINERS = frozenset((dict, list, set, OrderedDict, deque))
_ABSENT: Any = object()


@contextlib.contextmanager
def untouched(parts: Anatomy, *, training: bool, restored: bool = True) -> Iterator[None]:
    """The block may run the network in evaluation (or training) mode, without gradients. What
    becomes of a network that is a copy need not be `restored`."""
    with contextlib.ExitStack() as stack:
        owns = [each.__dict__ for each, _ in parts.modules]
        if restored:
            stack.callback(_Before(parts, owns).put_back)
        stack.enter_context(no_collection())
        stack.enter_context(_same_random_numbers())
        stack.enter_context(_no_modes())
        stack.enter_context(_slow_paths())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(unwarned())
        for own in owns:
            own["training"] = training
        yield


class _Before:
    """What the modules and parameters of a network were. A network has some thousand attributes,
    and few passes change one: all are held in one row and compared in one go, and a module is
    looked at alone only where that finds a difference."""

    def __init__(self, parts: Anatomy, owns: list[dict[str, Any]]) -> None:
        self._owns = owns
        self._training = [own.get("training", _ABSENT) for own in owns]
        self._attributes = attributes = _Contents(owns)
        held = [each for each in attributes.values if type(each) in _CONTAINERS]
        self._empty = list(filterfalse(None, held))
        self._contents = _Contents(list(filter(None, held)))
        self._parameters = [(each, each.requires_grad, each.grad) for each, _ in parts.parameters]

    def put_back(self) -> None:
        for own, mode in zip(self._owns, self._training, strict=True):
            if mode is _ABSENT:
                own.pop("training", None)
            else:
                own["training"] = mode
        self._attributes.put_back()
        for container in filter(None, self._empty):
            container.clear()
        self._contents.put_back()
        for parameter, wanted, gradient in self._parameters:
            if parameter.requires_grad is not wanted:
                parameter.requires_grad_(wanted)
            if parameter.grad is not gradient:
                parameter.grad = gradient


class _Contents:
    """What containers hold, in one row."""

    def __init__(self, containers: list[Any]) -> None:
        self._containers = containers
        self._dicts = [each for each in containers if isinstance(each, dict)]
        self._sizes = list(map(len, containers))
        self._items = list(chain.from_iterable(containers))
        """Elements, and of dicts the keys."""
        self.values = list(chain.from_iterable(map(dict.values, self._dicts)))

    def put_back(self) -> None:
        if self._as_before():
            return
        places = values = 0
        for container, size in zip(self._containers, self._sizes, strict=True):
            items = self._items[places : places + size]
            places += size
            container.clear()
            if isinstance(container, list | deque):
                container.extend(items)
            elif isinstance(container, set):
                container.update(items)
            else:
                container.update(zip(items, self.values[values : values + size], strict=True))
                values += size

    def _as_before(self) -> bool:
        """Whether they hold the very same."""
        containers = self._containers
        return (
            list(map(len, containers)) == self._sizes
            and all(map(is_, chain.from_iterable(map(dict.values, self._dicts)), self.values))
            and all(map(is_, chain.from_iterable(containers), self._items))
        )


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """The garbage collector, which the many small facts of a pass would wake, waits; then it sees
    the new objects alone. Woken with all of them on its list it would often take that for the
    time to go through everything torch ever made, some 100 ms."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        gc.enable()


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    state = torch.get_rng_state()
    python = random.getstate()
    # `numpy.random` is imported when first named, which takes longer than a small network's pass.
    draws = sys.modules.get("numpy.random")
    numbers = draws.get_state() if draws is not None else None
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        torch.set_rng_state(state)
        random.setstate(python)
        if draws is not None:
            draws.set_state(numbers)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextlib.contextmanager
def _no_modes() -> Iterator[None]:
    """No function or dispatch mode of the caller (a default device, fake tensors) listens in."""
    popped: list[TorchFunctionMode] = []
    with _disable_current_modes():
        try:
            while torch._C._len_torch_function_stack():
                popped.append(torch._C._pop_torch_function_stack())
            yield
        finally:
            while popped:
                torch._C._push_on_torch_function_stack(popped.pop())


@contextlib.contextmanager
def _slow_paths() -> Iterator[None]:
    """Fused kernels that hide their parts are off for the block."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
