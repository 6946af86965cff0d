"""What a loop does with a batch between its loader and its model, found by comparing the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

Change = Callable[[Tensor], Tensor]


def change_between(
    known: Iterable[Callable[[Tensor], Change]], given: Tensor, wanted: Tensor
) -> Change | None:
    """What makes `wanted` of `given`: the first of the `known` that does; None where none does."""
    found = (make(wanted) for make in known)
    return next((each for each in found if _gives(each, given, wanted)), None)


def _gives(change: Change, given: Tensor, wanted: Tensor) -> bool:
    try:
        made = change(given)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    if made.shape != wanted.shape:
        return False
    return torch.allclose(made.float().cpu(), wanted.float().cpu(), rtol=1e-4, atol=1e-5)


def _shaped(like: Tensor, change: Change) -> Change:
    shape, kind = tuple(like.shape[1:]), like.dtype
    return lambda given: change(given.to(kind)).reshape(len(given), *shape)


INPUTS: tuple[Callable[[Tensor], Change], ...] = (
    lambda like: _shaped(like, lambda given: given),
    lambda like: _shaped(like, lambda given: given / 255),
    lambda like: _shaped(like, lambda given: given / 255 * 2 - 1),
    lambda like: _shaped(like, lambda given: given * 2 - 1),
    lambda like: _shaped(like, lambda given: given / 16),
)
"""What loops do with a batch of inputs: nothing but shape and type, or a usual scaling."""

TARGETS: tuple[Callable[[Tensor], Change], ...] = (
    lambda like: _shaped(like, lambda given: given),
    lambda like: _shaped(like, lambda given: given - 1),
    lambda like: lambda given: F.one_hot(given.long(), like.shape[1]).to(like.dtype),
    lambda like: lambda given: given.argmax(1).to(like.dtype),
)
