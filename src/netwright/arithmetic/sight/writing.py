"""A tensor with a part of it written over: what was there, and at some positions what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.arithmetic.sight import gathering, moving
from netwright.arithmetic.sight.tensors import Tensor

Places = Mapping[int, tuple[int, int]]
"""Along a dimension the first position that is written, and the step to the next."""


def written(places: Places, tensors: Sequence[Tensor]) -> Tensor:
    """The first of two tensors with the second written over it, which is as long along each
    dimension as it has positions there. Along a dimension that carries no axis, channels, there
    are no positions to tell apart: all of them see the union."""
    whole, part = tensors
    for dim, size in enumerate(whole.shape):
        count = part.shape[dim]
        if count != size:
            first, step = places[dim]
            if step == 1:
                return _inserted(places, whole, part, dim, first)
            return _scattered(places, whole, part, dim, range(first, first + count * step, step))
    return part


def _inserted(places: Places, whole: Tensor, part: Tensor, dim: int, first: int) -> Tensor:
    """What stands before, the part, what stands behind."""
    last = first + part.shape[dim]
    inside = written(places, [_run(whole, dim, first, last), part])
    before, behind = _run(whole, dim, 0, first), _run(whole, dim, last, whole.shape[dim])
    return gathering.concatenated(dim, [before, inside, behind])


def _scattered(places: Places, whole: Tensor, part: Tensor, dim: int, rows: range) -> Tensor:
    """Each position from where it comes: the whole, or the part behind it."""
    shape = (*whole.shape[:dim], len(rows), *whole.shape[dim + 1 :])
    here = moving.indexed(whole, shape, dim, rows)
    inside = written(places, [here, part])
    size = whole.shape[dim]
    taken = list(range(size))
    for number, row in enumerate(rows):
        taken[row] = size + number
    both = gathering.concatenated(dim, [whole, inside])
    return moving.indexed(both, whole.shape, dim, taken)


def _run(tensor: Tensor, dim: int, first: int, last: int) -> Tensor:
    shape = (*tensor.shape[:dim], last - first, *tensor.shape[dim + 1 :])
    return moving.sliced(tensor, shape, dim, first, 1)
