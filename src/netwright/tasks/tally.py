"""The running accuracy of training: which predictions were right, found for many batches at once.

Between two convolutions the caches are cold, and comparing 64 predictions with their targets
takes some 60 us there, as much as the gradient norm of LeNet-5. So logits wait until a few
thousand of them can be compared in one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_WAITING = 1 << 14  # logits: 64 KB of float32, which stay in the cache


class Tally:
    """Counts right predictions since the last `take`.

    >>> tally = Tally()
    >>> tally.add(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]))
    >>> tally.take(), tally.take()
    (0.5, None)
    """

    def __init__(self) -> None:
        self._right = 0
        self._seen = 0
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._numbers = 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Logits (N, C), detached, and classes (N,); neither is changed before they are counted."""
        self._waiting.append((logits, target))
        self._numbers += logits.numel()
        if self._numbers >= _WAITING:
            self._count()

    def count(self, right: int, seen: int) -> None:
        """Predictions that were compared elsewhere."""
        self._right += right
        self._seen += seen

    def take(self) -> float | None:
        """The share of right predictions since the last call, None if there were none."""
        self._count()
        share = self._right / self._seen if self._seen else None
        self._right = self._seen = 0
        return share

    def state_dict(self) -> dict[str, int]:
        self._count()
        return {"right": self._right, "seen": self._seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._waiting, self._numbers = [], 0
        self._right, self._seen = int(state["right"]), int(state["seen"])

    def _count(self) -> None:
        if not self._waiting:
            return
        logits, target = zip(*self._waiting, strict=True)
        right = torch.cat(logits).argmax(1).eq_(torch.cat(target)).sum()
        self._right += int(right.item())
        self._seen += sum(len(each) for each in target)
        self._waiting, self._numbers = [], 0
