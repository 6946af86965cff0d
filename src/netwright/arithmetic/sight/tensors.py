"""One tensor as the field algebra holds it: its shape, its factors, a view for each axis.

The dimensions of most tensors are one factor each. Where a reshape split or merged some that
carry an axis, `factors` says how: `((8,), (7, 7), (96,))` is of shape (8, 49, 96).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.arithmetic.sight import axis_views, uniting
from netwright.arithmetic.sight.axis_views import AxisView
from netwright.arithmetic.sight.factors import Factors, refactored, stretches

Shape = tuple[int, ...]


class Tensor:
    """Immutable; `factors` is None where each dimension is one factor."""

    __slots__ = ("blank", "factors", "shape", "views")

    def __init__(
        self, shape: Shape, views: tuple[AxisView, ...], factors: Factors | None = None
    ) -> None:
        self.shape = shape
        self.views = views
        self.factors = factors
        # A list: a generator costs three times as much, and this runs for every tensor.
        self.blank = all([view is axis_views.BLIND for view in views])  # noqa: C419

    @property
    def carried(self) -> bool:
        """Whether any axis runs along any dimension."""
        return any([view.carriers for view in self.views])  # noqa: C419

    @property
    def sizes(self) -> Shape:
        """The length of each factor, in order."""
        if self.factors is None:
            return self.shape
        return tuple(size for group in self.factors for size in group)

    @property
    def groups(self) -> list[range]:
        """The numbers of each dimension's factors."""
        if self.factors is None:
            return [range(dim, dim + 1) for dim in range(len(self.shape))]
        groups = []
        start = 0
        for group in self.factors:
            groups.append(range(start, start + len(group)))
            start += len(group)
        return groups

    def carries(self, dim: int) -> bool:
        group = self.groups[dim]
        return any(carrier in group for view in self.views for carrier in view.carriers)


def grouped(shape: Shape, views: tuple[AxisView, ...], factors: Factors) -> Tensor:
    """A tensor, its factors forgotten where they say nothing."""
    if all(len(group) == 1 for group in factors) or not any(view.carriers for view in views):
        return Tensor(shape, views)
    return Tensor(shape, views, factors)


def spread(tensor: Tensor, dims: Sequence[int]) -> Tensor:
    """Along `dims` each position sees what any sees."""
    groups, sizes = tensor.groups, tensor.sizes
    factors = [factor for dim in dims for factor in groups[dim]]
    views = tuple([axis_views.reduced(view, factors, sizes) for view in tensor.views])
    if all(new is old for new, old in zip(views, tensor.views, strict=True)):
        return tensor
    return Tensor(tensor.shape, views, tensor.factors)


def single(tensor: Tensor, dim: int) -> Tensor:
    """The same with dimension `dim` as one factor."""
    if tensor.factors is None or len(tensor.factors[dim]) == 1:
        return tensor
    inside, sizes = tensor.groups[dim], tensor.sizes
    start, drop = inside[0], len(inside) - 1
    views = []
    for view in tensor.views:
        whole = uniting.collapsed(view, inside, sizes, start)
        moved = tuple(c - drop if c > inside[-1] else c for c in whole.carriers)
        views.append(whole.carried_by(moved))
    factors = tuple((tensor.shape[d],) if d == dim else f for d, f in enumerate(tensor.factors))
    return grouped(tensor.shape, tuple(views), factors)


def lengthened(tensor: Tensor, dim: int, size: int) -> Tensor:
    """With `size` positions along a dimension that then carries nothing."""
    tensor = single(spread(tensor, [dim]), dim)
    shape = tuple(size if d == dim else old for d, old in enumerate(tensor.shape))
    if tensor.factors is None:
        return Tensor(shape, tensor.views)
    factors = tuple((size,) if d == dim else f for d, f in enumerate(tensor.factors))
    return grouped(shape, tensor.views, factors)


def reshaped(tensor: Tensor, out: Shape) -> Tensor:
    """The same elements in row-major order as another shape."""
    if out == tensor.shape:
        return tensor
    if math.prod(out) != math.prod(tensor.shape):
        raise ValueError(f"{tensor.shape} cannot be viewed as {out}")
    if not tensor.carried:
        return Tensor(out, tensor.views)
    if 0 in out:  # no element, so nothing is seen; its factors could not be told apart
        return Tensor(out, (axis_views.BLIND,) * len(tensor.views))
    tensor = _without_single_positions(tensor)
    pieces = refactored(tensor.sizes, out)
    if pieces is None:
        tensor = _merged(tensor, out)
        pieces = refactored(tensor.sizes, out)
        assert pieces is not None
    parts: dict[int, list[int]] = {}
    number = 0
    for group in pieces:
        for _, old in group:
            if old is not None:
                parts.setdefault(old, []).append(number)
            number += 1
    views = tuple(
        view.carried_by(tuple([part for old in view.carriers for part in parts[old]]))
        for view in tensor.views
    )
    return grouped(out, views, tuple(tuple([size for size, _ in group]) for group in pieces))


def _without_single_positions(tensor: Tensor) -> Tensor:
    """Factors of one position carry nothing: a reshape may drop them."""
    sizes = tensor.sizes
    ones = [factor for factor, size in enumerate(sizes) if size == 1]
    if not any(carrier in ones for view in tensor.views for carrier in view.carriers):
        return tensor
    views = tuple(axis_views.reduced(view, ones, sizes) for view in tensor.views)
    return Tensor(tensor.shape, views, tensor.factors)


def _merged(tensor: Tensor, out: Shape) -> Tensor:
    """With the dimensions that a reshape to `out` tears apart as one factor."""
    runs = stretches(tensor.shape, out)
    merged = reshaped(tensor, tuple(math.prod(tensor.shape[d] for d in own) for own, _ in runs))
    for dim, (own, new) in enumerate(runs):
        if len(own) > 1 or len(new) > 1:
            merged = single(merged, dim)
    return merged


def row_by_row(tensor: Tensor) -> Tensor:
    """The same with every form held unit by unit."""
    sizes = tensor.sizes
    views = [
        view
        if not view.carriers
        else AxisView(
            view.carriers, axis_views.varying(view, sizes), view.low, view.high, view.size
        )
        for view in tensor.views
    ]
    return Tensor(tensor.shape, tuple(views), tensor.factors)


def common(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one rank with the same factors along each dimension of equal length."""
    found = list(tensors)
    if all(tensor.factors is None for tensor in found):
        return found
    rank = len(found[0].shape)
    for dim in range(rank):
        if len(_splits(found, dim)) > 1:
            found = [single(tensor, dim) for tensor in found]
    factors: list[tuple[int, ...]] = []
    for dim in range(rank):
        split = _splits(found, dim)
        factors.append(split.pop() if split else ())
    return [_factored(tensor, factors) for tensor in found]


def _splits(tensors: Sequence[Tensor], dim: int) -> set[tuple[int, ...]]:
    groups = {tensor.factors[dim] for tensor in tensors if tensor.factors is not None}
    return {group for group in groups if len(group) > 1}


def _factored(tensor: Tensor, wanted: Sequence[tuple[int, ...]]) -> Tensor:
    """The same with these factors, into which its own can be split; () for a single one."""
    factors = tuple(group or (tensor.shape[d],) for d, group in enumerate(wanted))
    if tensor.factors == factors or not tensor.carried:
        return Tensor(tensor.shape, tensor.views, factors)
    flat = reshaped(tensor, tuple(size for group in factors for size in group))
    return Tensor(tensor.shape, flat.views, factors)
