"""Operations that bring elements together: sums, unions, concatenation, contraction."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.arithmetic.sight import uniting
from netwright.arithmetic.sight.axis_views import BLIND, AxisView
from netwright.arithmetic.sight.tensors import (
    Shape,
    Tensor,
    common,
    grouped,
    lengthened,
    reshaped,
    single,
    spread,
)


def permuted(tensor: Tensor, dims: Sequence[int]) -> Tensor:
    """Dimension i of the result is dimension dims[i]."""
    shape = tuple([tensor.shape[dim] for dim in dims])
    if not tensor.carried:
        return Tensor(shape, tensor.views)
    return _kept(tensor, dims, shape)


def reduced(tensor: Tensor, dims: Sequence[int], keepdim: bool) -> Tensor:
    """A result sees all that was summed away along `dims`."""
    rank = len(tensor.shape)
    gone = {dim % rank for dim in dims}
    seen = spread(tensor, sorted(gone))
    if keepdim:
        shape = tuple([1 if d in gone else size for d, size in enumerate(tensor.shape)])
        return along_kept(seen, shape)
    kept = [dim for dim in range(rank) if dim not in gone]
    return _kept(seen, kept, tuple([tensor.shape[dim] for dim in kept]))


def along_kept(tensor: Tensor, shape: Shape) -> Tensor:
    """The same views over a shape whose other lengths carry nothing."""
    if tensor.factors is None or not tensor.carried:
        return Tensor(shape, tensor.views)
    for dim, size in enumerate(shape):
        if tensor.shape[dim] != size:
            tensor = lengthened(tensor, dim, size)
    return tensor


def _kept(tensor: Tensor, dims: Sequence[int], shape: Shape) -> Tensor:
    """The dimensions `dims` in that order; what carries an axis is among them."""
    if not tensor.carried:
        return Tensor(shape, tensor.views)
    groups = tensor.groups
    new: dict[int, int] = {}
    for dim in dims:
        for factor in groups[dim]:
            new[factor] = len(new)
    views = tuple(
        [
            view.carried_by(tuple([new[carrier] for carrier in view.carriers]))
            for view in tensor.views
        ]
    )
    if tensor.factors is None:
        return Tensor(shape, views)
    return grouped(shape, views, tuple(tensor.factors[dim] for dim in dims))


def expanded(tensor: Tensor, out: Shape) -> Tensor:
    """Broadcast: new dimensions on the left, longer ones where the length was 1."""
    if out == tensor.shape:
        return tensor
    if not tensor.carried:
        return Tensor(out, tensor.views)
    lead = len(out) - len(tensor.shape)
    longer = [dim for dim, size in enumerate(tensor.shape) if out[dim + lead] != size]
    seen = spread(tensor, longer) if longer else tensor
    views = tuple(
        [view.carried_by(tuple([c + lead for c in view.carriers])) for view in seen.views]
    )
    if seen.factors is None:
        return Tensor(out, views)
    # A dimension that grows had one factor: its length was 1.
    own = [(out[dim + lead],) if dim in longer else f for dim, f in enumerate(seen.factors)]
    return grouped(out, views, (*((size,) for size in out[:lead]), *own))


def join(out: Shape, tensors: Sequence[Tensor]) -> Tensor:
    """The union, with broadcasting. Tensors that see nothing add nothing."""
    joined: Tensor | None = None
    for tensor in tensors:
        if tensor.blank or tensor is joined:
            continue
        wide = tensor if tensor.shape == out else expanded(tensor, out)
        joined = wide if joined is None else _union(joined, wide)
    if joined is None:
        return Tensor(out, tensors[0].views)
    return joined


def _union(one: Tensor, two: Tensor) -> Tensor:
    """Of two tensors of one shape."""
    if one.factors is not None or two.factors is not None:
        one, two = common([one, two])
    sizes = one.sizes
    views: list[AxisView] = []
    before: tuple[AxisView, AxisView] | None = None
    for a, b in zip(one.views, two.views, strict=True):
        plain = len(a.carriers) == 1 and a.carriers == b.carriers
        if plain and before is not None and _twins(a, before[0], b, before[1], sizes, views[-1]):
            # Height and width of a square image: the work is done.
            views.append(views[-1].carried_by(a.carriers))
        else:
            views.append(uniting.union(a, b, sizes))
        before = (a, b) if plain else None
    if one.factors is None:
        return Tensor(one.shape, tuple(views))
    return grouped(one.shape, tuple(views), one.factors)


def _twins(
    a: AxisView, c: AxisView, b: AxisView, d: AxisView, sizes: Sequence[int], done: AxisView
) -> bool:
    """Whether the unions of a, b and of c, d differ only in the factor that carries them."""
    return (
        a.form is c.form
        and b.form is d.form
        and sizes[a.carriers[0]] == sizes[c.carriers[0]]
        and bool(done.carriers)
        and (a.low, a.high, a.size) == (c.low, c.high, c.size)
        and (b.low, b.high, b.size) == (d.low, d.high, d.size)
    )


def concatenated(dim: int, tensors: Sequence[Tensor], *, apart: bool = False) -> Tensor:
    """Along channels the union; along what carries an axis, or is to be told `apart`, one behind
    the other."""
    dim %= len(tensors[0].shape)
    long = sum([tensor.shape[dim] for tensor in tensors])
    shape = (*tensors[0].shape[:dim], long, *tensors[0].shape[dim + 1 :])
    parts = [tensor for tensor in tensors if tensor.shape[dim]]
    if len(parts) == 1:
        return parts[0]
    if not apart and not any(tensor.carries(dim) for tensor in parts if not tensor.blank):
        wide = [along_kept(tensor, shape) for tensor in parts]
        return join(shape, wide or tensors)
    parts = common([single(tensor, dim) for tensor in parts])
    factor = parts[0].groups[dim][0]
    views = []
    for axis in range(len(parts[0].views)):
        own = [(tensor.views[axis], tensor.sizes) for tensor in parts]
        views.append(uniting.behind(own, factor))
    if parts[0].factors is None:
        return Tensor(shape, tuple(views))
    factors = tuple((long,) if d == dim else f for d, f in enumerate(parts[0].factors))
    return grouped(shape, tuple(views), factors)


def stacked(dim: int, tensors: Sequence[Tensor]) -> Tensor:
    """Along a new dimension: the union."""
    shape = tensors[0].shape
    dim %= len(shape) + 1
    new = (*shape[:dim], 1, *shape[dim:])
    return concatenated(dim, [reshaped(tensor, new) for tensor in tensors])


def contracted(out: Shape, pairs: Sequence[tuple[Tensor, Sequence[int | None]]]) -> Tensor:
    """map[out dim] = own dim or None; own dimensions that nobody names are summed away."""
    parts = []
    for tensor, named in pairs:
        if tensor.blank and len(pairs) > 1:
            continue
        own = [dim for dim in named if dim is not None]
        gone = [dim for dim in range(len(tensor.shape)) if dim not in own]
        seen = _kept(spread(tensor, gone), own, tuple([tensor.shape[dim] for dim in own]))
        parts.append(reshaped(seen, tuple([1 if d is None else tensor.shape[d] for d in named])))
    if not parts:
        return Tensor(out, (BLIND,) * len(pairs[0][0].views))
    return join(out, parts)
