"""A step within a step: torch tells of both where a class calls the step of its parent."""

from __future__ import annotations

import sys
from types import FrameType

from torch.optim import Optimizer

_HOOKING = Optimizer.profile_hook_step.__code__
"""What torch lays round the step of every class, to call the hooks."""


def within_its_step(optimizer: Optimizer) -> bool:
    """Whether this step of `optimizer` is called from inside of another one of it. That of a step
    which ended by an error is over, though no hook has told so."""
    outer = 0
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and outer < 2:
        if frame.f_code in _HOOKING.co_consts and frame.f_locals.get("self") is optimizer:
            outer += 1
        frame = frame.f_back
    return outer > 1
