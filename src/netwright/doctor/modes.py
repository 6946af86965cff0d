"""Function modes of ours on torch's stack, taken off wherever they lie by then."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


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
