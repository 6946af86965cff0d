"""Function modes of ours on torch's stack, taken off wherever they lie by then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

Mode = TypeVar("Mode", bound=TorchFunctionMode)


@contextlib.contextmanager
def put_on_for(mode: Mode) -> Iterator[Mode]:
    """`mode` for as long as the block lasts, which may leave others on top of it: torch's own way
    takes off whichever lies there."""
    put_on(mode)
    try:
        yield mode
    finally:
        take_off(mode)


def put_on(mode: TorchFunctionMode) -> None:
    torch._C._push_on_torch_function_stack(mode)


def take_off(mode: TorchFunctionMode) -> None:
    """Modes that were entered above `mode` since then stay in their order."""
    above: list[Any] = []
    while torch._C._len_torch_function_stack():
        top = torch._C._pop_torch_function_stack()
        if top is mode:
            break
        above.append(top)
    while above:
        torch._C._push_on_torch_function_stack(above.pop())
