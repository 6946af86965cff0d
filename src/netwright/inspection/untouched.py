"""Whatever a forward pass does to a network, it is undone: modes, attributes, buffers, gradients,
random numbers and torch's switches are afterwards what they were, also after an exception."""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import warnings
from collections import OrderedDict, deque
from collections.abc import Iterator
from operator import is_
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from netwright.inspection.anatomy import Anatomy

_CONTAINERS = frozenset((dict, list, set, OrderedDict, deque))


@contextlib.contextmanager
def untouched(parts: Anatomy, *, training: bool, restored: bool = True) -> Iterator[None]:
    """The block may run the network in evaluation (or training) mode, without gradients. What
    becomes of a network that is a copy need not be `restored`."""
    attributes = [(each.__dict__, each.__dict__.copy()) for each, _ in parts.modules]
    held = [v for own, _ in attributes for v in own.values() if type(v) in _CONTAINERS]
    contents = [(value, value.copy()) for value in held if value]
    parameters = [(each, each.requires_grad, each.grad) for each, _ in parts.parameters]
    with contextlib.ExitStack() as stack:
        if restored:
            stack.callback(_put_back, attributes, held, contents, parameters)
        stack.enter_context(no_collection())
        stack.enter_context(_same_random_numbers())
        stack.enter_context(_no_modes())
        stack.enter_context(_slow_paths())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for own, _ in attributes:
            own["training"] = training
        yield


def _put_back(
    attributes: list[tuple[dict[str, Any], dict[str, Any]]],
    held: list[Any],
    contents: list[tuple[Any, Any]],
    parameters: list[tuple[nn.Parameter, bool, Any]],
) -> None:
    for own, before in attributes:
        own.clear()
        own.update(before)
    filled = {id(container) for container, _ in contents}
    for container in filter(None, held):
        if id(container) not in filled:
            container.clear()
    for container, before in contents:
        if len(container) != len(before) or not _same(container, before):
            container.clear()
            if isinstance(container, list | deque):
                container.extend(before)
            else:
                container.update(before)
    for parameter, wanted, gradient in parameters:
        if parameter.requires_grad is not wanted:
            parameter.requires_grad_(wanted)
        if parameter.grad is not gradient:
            parameter.grad = gradient


def _same(container: Any, before: Any) -> bool:
    """Whether two containers of one length hold the very same."""
    if isinstance(container, set):
        return container == before
    if isinstance(container, dict):
        return all(map(is_, container.values(), before.values())) and all(
            map(is_, container, before)
        )
    return all(map(is_, container, before))


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
