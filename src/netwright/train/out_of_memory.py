"""Memory that ran out: how it is known, and a step taken in smaller passes because of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_WORDS = ("can't allocate memory", "out of memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says so; torch's CPU allocator has no type for it, only words.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    True
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error).lower() for word in _WORDS
    )


class MicroBatches:
    """How many passes more than asked for a step takes, since memory did not suffice for fewer.

    The batch and its key stay: passes are halved until they fit, and stay so. What looks at a
    pass as a whole (batch norm) then trains otherwise, as with `optim.accumulate`.
    """

    def __init__(self) -> None:
        self.factor = 1

    def fitting(
        self,
        passes: int,
        images: int,
        attempt: Callable[[int], Tensor],
        agree: Callable[[Tensor | None], Tensor | None],
        *,
        alone: bool = True,
    ) -> Tensor:
        """What `attempt` makes of a batch of `images` in `passes`, or more as they are needed.

        `agree` gives what comes of all ranks, or None where one of them has had no memory; it is
        given None by that one. Raises what was raised where a pass is of one image already, and
        where passes of several ranks wait for each other (not `alone`): there none can stop.
        """
        while True:
            pieces = min(passes * self.factor, images)
            loss: Tensor | None = None
            try:
                loss = attempt(pieces)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or pieces >= images or not alone:
                    raise
            # Out of the block above, whose error held on to all that was computed.
            agreed = agree(loss)
            if agreed is not None:
                return agreed
            self.factor *= 2
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    def state_dict(self) -> dict[str, Any]:
        """One number, with which a resumed run takes the same passes."""
        return {"factor": self.factor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.factor = int(state["factor"])
