"""Memory that ran out: how torch says so, and how it is told to a user."""

from __future__ import annotations

import torch

from netwright.core.errors import ExhaustedError
from netwright.core.memory_words import says_memory_ran_out

MEMORY_ERRORS = (MemoryError, RuntimeError)
"""Among these are all that torch raises when memory runs out; `is_out_of_memory` tells which."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    torch's CPU allocator and oneDNN have no exception types of their own, only words.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    True
    >>> is_out_of_memory(RuntimeError("shape mismatch"))
    False
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or says_memory_ran_out(
        str(error)
    )


def exhausted(error: BaseException) -> ExhaustedError:
    """What a user is told of it, where nothing smaller could be tried."""
    return ExhaustedError(
        "Memory ran out: {reason}",
        hint="Make the batch smaller (batch=...), the images smaller (data.size=...), "
        "or stream them (data.cache=stream). The last checkpoint is kept.",
        reason=str(error).strip().splitlines()[0][:200] if str(error).strip() else "MemoryError",
    )
