"""Class targets as numbers, for the losses that compare numbers with numbers."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

Compared: TypeAlias = Literal["logits", "softmax"]


def one_hot(target: Tensor, like: Tensor) -> Tensor:
    """`target` (N, ...) as 1 for the class and 0 for the others, in the shape and type of the
    logits `like` (N, C, ...).

    >>> import torch
    >>> one_hot(torch.tensor([1, 0]), like=torch.zeros(2, 3))
    tensor([[0., 1., 0.],
            [1., 0., 0.]])
    """
    places = nn.functional.one_hot(target, like.shape[1])
    return places.movedim(-1, 1).to(like.dtype)


def compared(logits: Tensor, on: Compared) -> Tensor:
    """What a loss of numbers looks at: the logits as they are, or their softmax."""
    return logits if on == "logits" else logits.softmax(1)
