"""Operations along dimensions: windows, resizing, padding, slicing. Shapes in, views out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.arithmetic.sight import axis_views, reading, resizing
from netwright.arithmetic.sight.axis_views import AxisView
from netwright.arithmetic.sight.forms import Periodic
from netwright.arithmetic.sight.reading import Table, Taps
from netwright.arithmetic.sight.tensors import (
    Shape,
    Tensor,
    grouped,
    lengthened,
    reshaped,
    single,
    spread,
)

Padding = int | tuple[int, int]

TRANSPOSED = "a transposed convolution: the field depends on the phase"
RESIZED = "resizing: the field depends on the position"
ADAPTIVE = "adaptive pooling that does not divide: the windows differ"
PADDED = "padding that shows the image again: the field differs at the rim"
ROLLED = "a cyclic shift: the field jumps where the image ends"
INDEXED = "positions were picked by index"


def windows(
    tensor: Tensor,
    out: Shape,
    dims: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Padding],
    dilation: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """Convolution and pooling. Plain tensors with periodic forms are the hot case."""
    if tensor.factors is None:
        views = _one_by_one(tensor, dims, kernel, stride, padding, dilation)
        if views is not None:
            return Tensor(out, views)
    taps = {
        dim: reading.window(kernel[i], stride[i], _before(padding[i]), dilation[i])
        for i, dim in enumerate(dims)
    }
    return along(_mixed(tensor, dims, groups), out, taps, "")


def _one_by_one(
    tensor: Tensor,
    dims: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Padding],
    dilation: Sequence[int],
) -> tuple[AxisView, ...] | None:
    """Each axis along one of `dims`, periodic; None where any is not so."""
    views = []
    asked: tuple[object, ...] = ()
    made: Periodic | None = None
    for view in tensor.views:
        carriers = view.carriers
        if not carriers:
            views.append(view)
            continue
        form = view.form
        if len(carriers) != 1 or carriers[0] not in dims or not isinstance(form, Periodic):
            return None
        i = dims.index(carriers[0])
        ask = (form, kernel[i], stride[i], _before(padding[i]), dilation[i])
        if made is None or ask != asked:
            made = form.windows(*ask[1:])
            asked = ask
        seen = form.reach(tensor.shape[carriers[0]])
        low, high = view.low, view.high
        if seen is not None:
            low, high = max(low, seen[0]), min(high, seen[1])
        if made is form and low == view.low and high == view.high:
            views.append(view)
            continue
        moved = AxisView(carriers, made, low, high, view.size)
        views.append(moved if made.advance else axis_views.settled(moved))
    return tuple(views)


def transposed(
    tensor: Tensor,
    out: Shape,
    dims: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Padding],
    dilation: Sequence[int],
    groups: int = 1,
    why: str = "",
) -> Tensor:
    taps = {
        dim: reading.transposed(kernel[i], stride[i], _before(padding[i]), dilation[i])
        for i, dim in enumerate(dims)
    }
    return along(_mixed(tensor, dims, groups), out, taps, why or TRANSPOSED)


def resized(
    tensor: Tensor,
    out: Shape,
    dims: Sequence[int],
    mode: str,
    align_corners: bool,
    scales: Sequence[float | None] | None,
    antialias: bool,
    why: str = "",
) -> Tensor:
    taps = {
        dim: resizing.resized(
            tensor.shape[dim],
            out[dim],
            mode,
            align_corners,
            None if scales is None else scales[i],
            antialias,
        )
        for i, dim in enumerate(dims)
    }
    return along(tensor, out, taps, why or RESIZED)


def adaptive(tensor: Tensor, out: Shape, dims: Sequence[int]) -> Tensor:
    whole = [dim for dim in dims if out[dim] == 1]
    shape = tensor.shape
    taps = {
        dim: reading.adaptive(shape[dim], out[dim])
        for dim in dims
        if dim not in whole and shape[dim] != out[dim]
    }
    return along(spread(tensor, whole), out, taps, ADAPTIVE)


def padded(tensor: Tensor, out: Shape, pads: Mapping[int, tuple[int, int]], mode: str) -> Tensor:
    taps = {
        dim: reading.padded(tensor.shape[dim], out[dim], before, mode)
        for dim, (before, after) in pads.items()
        if before or after
    }
    return along(tensor, out, taps, PADDED)


def sliced(tensor: Tensor, out: Shape, dim: int, start: int, step: int) -> Tensor:
    if out == tensor.shape and start == 0 and step == 1:
        return tensor
    return along(tensor, out, {dim: reading.single(start, step)}, "")


def flipped(tensor: Tensor, dim: int) -> Tensor:
    taps = reading.single(tensor.shape[dim] - 1, -1)
    return along(tensor, tensor.shape, {dim: taps}, "")


def rolled(tensor: Tensor, dim: int, shift: int) -> Tensor:
    size = tensor.shape[dim]
    if not size or shift % size == 0:
        return tensor
    return along(tensor, tensor.shape, {dim: reading.rolled(size, shift)}, ROLLED)


def indexed(tensor: Tensor, out: Shape, dim: int, rows: Sequence[int]) -> Tensor:
    return along(tensor, out, {dim: reading.listed(rows, tensor.shape[dim])}, INDEXED)


def along(tensor: Tensor, out: Shape, taps: Mapping[int, Taps | Table], why: str) -> Tensor:
    """Behind an operation that reads by `taps` along some dimensions; along another whose length
    changes, channels, each position then sees what any saw."""
    if not tensor.carried:
        return Tensor(out, tensor.views)
    for dim in taps:
        tensor = single(tensor, dim)
    for dim, size in enumerate(tensor.shape):
        if dim not in taps and out[dim] != size:
            tensor = lengthened(tensor, dim, out[dim])
    groups, sizes = tensor.groups, tensor.sizes
    views = list(tensor.views)
    for dim, taken in taps.items():
        factor = groups[dim][0]
        views = [axis_views.through(view, factor, taken, out[dim], sizes, why) for view in views]
        sizes = (*sizes[:factor], out[dim], *sizes[factor + 1 :])
    if tensor.factors is None:
        return Tensor(out, tuple(views))
    factors = tuple((out[d],) if d in taps else f for d, f in enumerate(tensor.factors))
    return grouped(out, tuple(views), factors)


def _mixed(tensor: Tensor, dims: Sequence[int], groups: int) -> Tensor:
    """Before a convolution: what the channels carry is seen by all of a group."""
    channel = min(dims) - 1
    if channel < 0 or groups >= tensor.shape[channel] or not tensor.carries(channel):
        return tensor
    if groups == 1:
        return spread(tensor, [channel])
    shape = tensor.shape
    split = (*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :])
    return reshaped(spread(reshaped(tensor, split), [channel + 1]), shape)


def _before(padding: Padding) -> int:
    return padding if isinstance(padding, int) else padding[0]
