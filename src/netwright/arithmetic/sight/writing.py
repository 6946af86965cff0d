"""A tensor with a part of it written over: what was there, and at some positions what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.arithmetic.sight import gathering, moving
from netwright.arithmetic.sight.tensors import Tensor

Places = Mapping[int, tuple[int, int]]
"""Along a dimension the first position that is written, and the step to the next."""


def written(places: Places, tensors: Sequence[Tensor]) -> Tensor:
    """The first of two tensors with the second written over it, which is as long along each
    dimension as it has positions there. Along channels, which carry no axis, there are no positions
    to tell apart: all of them see the union."""
    whole, part = tensors
    return _along(places, whole, part, 0, apart=_lone_rows(whole, part))


def _lone_rows(whole: Tensor, part: Tensor) -> bool:
    """Whether along some axis neither moves and they differ: `zeros[:, :, 0] = x[:, :, 0]`. Then
    what is written where tells positions apart, though no dimension carried the axis before."""
    return any(
        not (one.carriers or two.carriers) and one.form is not two.form
        for one, two in zip(whole.views, part.views, strict=True)
    )


def _along(places: Places, whole: Tensor, part: Tensor, dim: int, *, apart: bool) -> Tensor:
    """Written over along dimension `dim` and those behind it."""
    while dim < len(whole.shape) and part.shape[dim] == whole.shape[dim]:
        dim += 1
    if dim == len(whole.shape):
        return part
    (first, step), size, count = places[dim], whole.shape[dim], part.shape[dim]
    if step == 1:
        last = first + count
        inside = _along(places, _run(whole, dim, first, last), part, dim + 1, apart=apart)
        before, behind = _run(whole, dim, 0, first), _run(whole, dim, last, size)
        return gathering.concatenated(dim, [before, inside, behind], apart=apart)
    rows = range(first, first + count * step, step)
    shape = (*whole.shape[:dim], count, *whole.shape[dim + 1 :])
    here = moving.indexed(whole, shape, dim, rows)
    inside = _along(places, here, part, dim + 1, apart=apart)
    both = gathering.concatenated(dim, [whole, inside], apart=apart)
    taken = list(range(size))
    for number, row in enumerate(rows):  # from the part, which stands behind the whole
        taken[row] = size + number
    return moving.indexed(both, whole.shape, dim, taken)


def _run(tensor: Tensor, dim: int, first: int, last: int) -> Tensor:
    shape = (*tensor.shape[:dim], last - first, *tensor.shape[dim + 1 :])
    return moving.sliced(tensor, shape, dim, first, 1)
