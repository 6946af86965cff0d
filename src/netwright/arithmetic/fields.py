"""Receptive fields through graphs: how the elements of one tensor see the axes of the inputs.

A `TensorField` goes with each tensor of a network; every operation makes the field of its result
from those of its inputs, by shapes alone. Windows, strides and dilations keep a short periodic
form (Araujo, Norris & Sim 2019: size, stride, padding); what has none is held row by row. Fields
are hulls, with the number of rows read beside them where it is known; a field may reach beyond
the image, into padding.

>>> image = TensorField.of_input((1, 3, 224, 224), {2: 0, 3: 1}, axes=2)
>>> stem = image.windows((1, 64, 112, 112), (2, 3), (7, 7), (2, 2), (3, 3), (1, 1))
>>> pool = stem.windows((1, 64, 56, 56), (2, 3), (3, 3), (2, 2), (1, 1), (1, 1))
>>> facts = pool.axes()[0]
>>> facts.size, facts.stride, facts.padding
(11, 4.0, 5)
>>> pool.span(0, 1), pool.seen(0, 1)
((-1, 9), (0, 9))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netwright.arithmetic.sight import facts, gathering, moving, tensors, writing
from netwright.arithmetic.sight.axis_views import BLIND, AxisView
from netwright.arithmetic.sight.forms import Periodic, Unknown
from netwright.arithmetic.sight.moving import Padding
from netwright.arithmetic.sight.row_sets import FULL
from netwright.arithmetic.sight.tensors import Shape, Tensor
from netwright.records.inspection import AxisField
from netwright.records.unit_rows import UnitRows

Operation = Callable[..., Tensor]


class TensorField:
    """How the elements of a tensor of `shape` see each tracked axis. Immutable.

    The methods are named after what an operation does. Each returns the field of the result;
    `out` is the result's whole shape, batch included. A shape that cannot be raises `ValueError`.
    """

    __slots__ = ("_axes", "_exact", "_made", "_tensor", "shape")

    def __init__(self, tensor: Tensor, made: tuple[Any, ...]) -> None:
        self.shape = tensor.shape
        self._tensor = tensor
        self._made = made
        """The operation, the fields it read and its other arguments: to run it again, exactly."""
        self._axes: tuple[AxisField, ...] | None = None
        self._exact: Tensor | None = None

    @classmethod
    def of_input(cls, shape: Sequence[int], carries: Mapping[int, int], axes: int) -> TensorField:
        """The input itself: dimension d is axis carries[d] of `axes`, seen row by row."""
        views = [BLIND] * axes
        # All axes share one form, and with it the work of all that follows.
        form = Periodic(1, ((0, 0, FULL),))
        for dim, axis in carries.items():
            size = shape[dim]
            views[axis] = AxisView((dim,), form, 0, size - 1, size)
        return cls(Tensor(tuple(shape), tuple(views)), ())

    @classmethod
    def blank(cls, shape: Sequence[int], axes: int) -> TensorField:
        """A constant or a weight: it sees nothing."""
        return cls(Tensor(tuple(shape), (BLIND,) * axes), ())

    def windows(
        self,
        out: Shape,
        dims: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[Padding],
        dilation: Sequence[int],
        *,
        groups: int = 1,
    ) -> TensorField:
        """Convolution and pooling along `dims`, padding as one number or (before, after).
        `groups` matters only where channels carry an axis, as behind a space-to-depth; a pooling
        has as many as channels."""
        return self._by(moving.windows, out, dims, kernel, stride, padding, dilation, groups)

    def transposed(
        self,
        out: Shape,
        dims: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[Padding],
        dilation: Sequence[int],
        *,
        groups: int = 1,
        why: str = "",
    ) -> TensorField:
        """Transposed convolution, fold, and what else writes windows: with kernel < stride some
        positions see nothing. `why` says in English what it is, if no transposed convolution."""
        return self._by(
            moving.transposed, out, dims, kernel, stride, padding, dilation, groups, why
        )

    def resized(
        self,
        out: Shape,
        dims: Sequence[int],
        mode: str,
        align_corners: bool | None = False,
        scales: Sequence[float | None] | None = None,
        *,
        antialias: bool = False,
        why: str = "",
    ) -> TensorField:
        """`interpolate` in any of its modes; `scales` are the factors it was given and keeps to,
        None where it was given sizes. `why` says in English what it is, if no resizing."""
        corners = bool(align_corners)
        return self._by(moving.resized, out, dims, mode, corners, scales, antialias, why)

    def adaptive(self, out: Shape, dims: Sequence[int]) -> TensorField:
        """Adaptive pooling; to one position, every element sees everything."""
        return self._by(moving.adaptive, out, dims)

    def padded(
        self, out: Shape, pads: Mapping[int, tuple[int, int]], mode: str = "constant"
    ) -> TensorField:
        """Padding {dim: (before, after)}, cropping where negative: constant, reflect, replicate or
        circular."""
        return self._by(moving.padded, out, pads, mode)

    def sliced(self, out: Shape, dim: int, start: int, step: int = 1) -> TensorField:
        """Every `step`-th position from `start` on, the dimension kept."""
        return self._by(moving.sliced, out, dim, start, step)

    def flipped(self, dim: int) -> TensorField:
        return self._by(moving.flipped, dim)

    def rolled(self, dim: int, shift: int) -> TensorField:
        """A cyclic shift: position i goes to i + shift."""
        return self._by(moving.rolled, dim, shift)

    def indexed(self, out: Shape, dim: int, rows: Sequence[int]) -> TensorField:
        """The positions `rows` along `dim`, as `index_select`."""
        return self._by(moving.indexed, out, dim, rows)

    def reshaped(self, out: Shape) -> TensorField:
        """The same elements in row-major order: view, flatten, squeeze, unflatten."""
        return self._by(tensors.reshaped, tuple(out))

    def permuted(self, dims: Sequence[int]) -> TensorField:
        """Dimension i of the result is dimension dims[i]."""
        return self._by(gathering.permuted, dims)

    def expanded(self, out: Shape) -> TensorField:
        """Broadcast to `out`: new dimensions on the left, longer ones where the length was 1."""
        return self._by(gathering.expanded, tuple(out))

    def reduced(self, dims: Sequence[int], keepdim: bool = False) -> TensorField:
        """Sum, mean, max, norm over `dims`: a result sees all that was summed away."""
        return self._by(gathering.reduced, dims, keepdim)

    def spread(self, dims: Sequence[int]) -> TensorField:
        """Softmax, attention, cumulative sums: along `dims` each position sees what any sees."""
        return self._by(tensors.spread, [dim % len(self.shape) for dim in dims])

    def unknown(self, out: Shape, why: str) -> TensorField:
        """Behind an operation without a rule. What saw nothing still sees nothing."""
        return self._by(_unknown, tuple(out), why)

    @staticmethod
    def join(out: Shape, *fields: TensorField) -> TensorField:
        """Elementwise operations with broadcasting: the union."""
        return _together(fields, gathering.join, tuple(out))

    @staticmethod
    def concatenated(dim: int, *fields: TensorField) -> TensorField:
        """Along channels the union, for all of them; along a dimension that carries an axis, one
        behind the other."""
        return _together(fields, gathering.concatenated, dim)

    @staticmethod
    def stacked(dim: int, *fields: TensorField) -> TensorField:
        """Along a new dimension: the union."""
        return _together(fields, gathering.stacked, dim)

    def written(self, part: TensorField, places: Mapping[int, tuple[int, int]]) -> TensorField:
        """With `part` written over it in place: along dimension d at the positions first,
        first + step, ..., as many as the part has, for (first, step) = places[d]; along the others
        it is as long. Channels are not told apart: each sees the union."""
        return _together((self, part), writing.written, dict(places))

    @staticmethod
    def contracted(out: Shape, *pairs: tuple[TensorField, Sequence[int | None]]) -> TensorField:
        """Matrix products, einsum, attention: pairs (field, map), map[out dim] = own dim or None;
        own dimensions that nobody names are summed away."""
        maps = [named for _, named in pairs]
        return _together([field for field, _ in pairs], _contracted, tuple(out), maps)

    def axes(self) -> tuple[AxisField, ...]:
        """The facts for the record, one for each tracked axis."""
        if self._axes is None:
            self._axes = facts.axis_fields(self._tensor)
        return self._axes

    def along(self) -> tuple[tuple[int, ...], ...]:
        """Of each tracked axis the dimensions of this tensor along which the units are counted
        that see it; none where every element sees the same, or nobody knows."""
        return facts.dims_along(self._tensor)

    def span(self, axis: int, *position: int) -> tuple[int, int] | None:
        """First and last row that one unit sees, inclusive; they may lie outside the image, in
        padding. None where it sees nothing or nobody knows.

        `position` is the unit's index along every dimension, or along those alone that carry the
        axis (one, in most tensors); none where every element sees the same.
        """
        return facts.rows_at(self._tensor, axis, position)

    def seen(self, axis: int, *position: int) -> tuple[int, int] | None:
        """The rows of the image that one unit really sees: no padding, no rows that were dropped
        or cropped away before, no gap at the rim. Worked out row by row when first asked."""
        whole = facts.whole_index(self._tensor, axis, position)
        return facts.rows_at(_exactly(self), axis, whole)

    def rows(self, axis: int, dims: tuple[int, int]) -> UnitRows | None:
        """The span of each unit of a map, `dims` its rows and its columns (ascending), with all
        that its channels see together; None where the field is not known."""
        return facts.rows_of_map(self._tensor, axis, dims)

    def _by(self, operation: Operation, *arguments: Any) -> TensorField:
        result = operation(self._tensor, *arguments)
        if result is self._tensor:
            return self
        return TensorField(result, (operation, self, arguments))


def _together(fields: Sequence[TensorField], operation: Operation, *arguments: Any) -> TensorField:
    """The result of an operation whose last argument is a list of tensors."""
    own = [field._tensor for field in fields]
    result = operation(*arguments, own)
    for field in fields:
        if result is field._tensor:
            return field
    return TensorField(result, (operation, fields, arguments))


def _contracted(out: Shape, maps: Sequence[Sequence[int | None]], own: Sequence[Tensor]) -> Tensor:
    return gathering.contracted(out, list(zip(own, maps, strict=True)))


def _unknown(tensor: Tensor, out: Shape, why: str) -> Tensor:
    views = tuple(
        view
        if view is BLIND or isinstance(view.form, Unknown)
        else AxisView((), Unknown(why), view.low, view.high, view.size)
        for view in tensor.views
    )
    return Tensor(out, views)


def _exactly(field: TensorField) -> Tensor:
    """What `field` was made of, made again row by row from the real rows of the inputs: hulls of
    hulls are hulls, and padding is nothing. Without recursion, since networks are deep."""
    waiting = [field]
    while waiting:
        last = waiting[-1]
        if last._exact is not None:
            waiting.pop()
            continue
        if not last._made:
            last._exact = tensors.row_by_row(last._tensor)
            continue
        operation, read, arguments = last._made
        several = not isinstance(read, TensorField)
        missing = [each for each in (read if several else [read]) if each._exact is None]
        if missing:
            waiting += missing
        elif several:
            last._exact = operation(*arguments, [each._exact for each in read])
        else:
            last._exact = operation(read._exact, *arguments)
    assert field._exact is not None
    return field._exact
