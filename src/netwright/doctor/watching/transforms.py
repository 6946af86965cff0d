"""Whether torch.func is at work: inside `grad`, `vmap` and the like tensors have no storage of
their own, no graph of autograd, and no single value that could be read."""

from __future__ import annotations

import torch


def transformed() -> bool:
    """
    >>> transformed()
    False
    >>> def told(x: torch.Tensor) -> torch.Tensor:
    ...     print(transformed())
    ...     return x.sum()
    >>> _ = torch.func.grad(told)(torch.ones(2))
    True
    """
    return torch._C._functorch.peek_interpreter_stack() is not None
