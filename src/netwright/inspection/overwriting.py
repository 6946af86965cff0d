"""What the tensors see that share memory with one that was written in place.

`x[:, :, 1:] += y` writes into a view. The numbers it wrote see what it now sees, in each tensor
that has them, and the others see what they saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from netwright.arithmetic.fields import TensorField
from netwright.inspection.overlaps import Layout, Meeting, meeting

BOUND = (
    "A tensor was written in place through a view that is not followed: the fields behind it are "
    "an upper bound."
)


class Member(Protocol):
    """One tensor of a memory and what it sees; called, it gives the tensor."""

    field: TensorField | None
    shape: tuple[int, ...]

    def __call__(self) -> Any: ...


def overwritten(written: Member, others: Sequence[Member], axes: int) -> bool:
    """Give each of `others`, which share memory with `written`, its field, from the one that
    `written` has now. Where it cannot be followed how one lies over it (a diagonal, numbers of
    another type) each element is given all that was there and all that was written; whether
    there was such a one is what comes back."""
    if written.field is None and all(each.field is None for each in others):
        return False
    right = [written]
    waiting: list[Member] = []
    for each in others:
        (right if _laid_over(each, written, axes) else waiting).append(each)
    while True:  # what lies within one whose field is right by now follows that one
        led = [
            each
            for each in waiting
            if any(_laid_over(each, known, axes, whole=True) for known in right)
        ]
        if not led:
            break
        right += led
        waiting = [each for each in waiting if each not in led]
    for each in waiting:
        _given_everything(each, written)
    return bool(waiting)


def _laid_over(each: Member, known: Member, axes: int, *, whole: bool = False) -> bool:
    """Let `each` see as `known` does what both have; with `whole` only if `known` has all of it.
    False where that is not so, or cannot be told."""
    one, two = _layout(known), _layout(each)
    if one is None or two is None:
        return False
    if one.same_row(two):
        each.field = None if known.field is None else known.field.reshaped(each.shape)
        return True
    found = meeting(one, two)
    if isinstance(found, bool):
        return not found and not whole
    if whole and found.count < two.numbers:
        return False
    if known.field is not None or each.field is not None:
        before = each.field or TensorField.blank(each.shape, axes)
        after = known.field or TensorField.blank(known.shape, axes)
        each.field = _written(before, after, found)
    return True


def _layout(member: Member) -> Layout | None:
    """None for a tensor that is no plain run of numbers of the memory's own type."""
    with torch._C.DisableTorchFunction():
        tensor = member()
        if tensor is None or tensor.layout is not torch.strided:
            return None
        return Layout(
            member.shape, tuple(tensor.stride()), tensor.storage_offset(), tensor.dtype.itemsize
        )


def _written(before: TensorField, after: TensorField, found: Meeting) -> TensorField:
    """`before` with the part of `after` written over it that both share."""
    part = after
    for dim, (first, step, count) in enumerate(found.mine):
        shape = (*part.shape[:dim], count, *part.shape[dim + 1 :])
        part = part.sliced(shape, dim, first, step)
    kept = [dim for dim, _ in sorted(found.pairs, key=lambda pair: pair[1])]
    alone = [dim for dim in range(len(part.shape)) if dim not in kept]  # of length 1 by now
    part = part.permuted((*kept, *alone))
    part = part.reshaped(tuple(count if step else 1 for _, step, count in found.yours))
    part = part.expanded(tuple(count for _, _, count in found.yours))
    places = {dim: (first, step) for dim, (first, step, _) in enumerate(found.yours)}
    return before.written(part, places)


def _given_everything(each: Member, written: Member) -> None:
    if written.field is not None:
        seen = written.field.reduced(tuple(range(len(written.shape))))
        before = () if each.field is None else (each.field,)
        each.field = TensorField.join(each.shape, *before, seen)
