"""What a pass really computes in: a cast to float32 on the way costs half of the digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Precision(TorchDispatchMode):
    """The coarsest type that a pass computes in."""

    coarsest = torch.float64

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports the whole compiler, for half a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for each in output if isinstance(output, tuple | list) else (output,):
            if isinstance(each, Tensor) and each.is_floating_point():
                self.coarsest = max(self.coarsest, each.dtype, key=lambda t: torch.finfo(t).eps)
        return output
