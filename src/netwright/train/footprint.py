"""How much memory training a network takes besides its activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.data.memory import available_bytes

_ROOM = 0.8  # of the memory that is free: activations and buffers need some too


def state_copies(make: Callable[[list[dict[str, Any]]], Optimizer]) -> int:
    """How many numbers an optimizer keeps for each parameter: found by a step of one.

    >>> state_copies(lambda groups: torch.optim.Adam(groups))
    2
    """
    probe = nn.Parameter(torch.zeros(1024))
    optimizer = make([{"params": [probe]}])
    probe.grad = torch.zeros_like(probe)
    optimizer.step()
    held = sum(each.numel() for each in optimizer.state[probe].values() if isinstance(each, Tensor))
    return held // probe.numel()


def bytes_needed(model: nn.Module, copies: int) -> int:
    """Bytes of parameters, their gradients and `copies` more numbers for each."""
    return sum(e.numel() * e.element_size() for e in model.parameters()) * (2 + copies)


def fits(needed: int, device: torch.device, processes: int) -> bool:
    """Whether so many bytes are free for one of the `processes` on this machine."""
    if device.type == "cuda":
        return needed <= _ROOM * torch.cuda.mem_get_info(device)[0]
    return needed <= _ROOM * available_bytes() / processes
