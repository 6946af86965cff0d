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
>>> facts.size, facts.stride, facts.padding, pool.span(0, 1)
(11, 4.0, 5, (-1, 9))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netwright.arithmetic import field_factors, field_resizing, field_taps, field_views
from netwright.arithmetic.field_facts import axis_field, rows_at
from netwright.arithmetic.field_factors import Factors
from netwright.arithmetic.field_forms import Form, Periodic, Unknown
from netwright.arithmetic.field_rows import FULL
from netwright.arithmetic.field_taps import Table, Taps
from netwright.arithmetic.field_views import BLIND, AxisView
from netwright.records.inspection import AxisField

Shape = tuple[int, ...]
Padding = int | tuple[int, int]

TRANSPOSED = "a transposed convolution: the field depends on the phase"
RESIZED = "resizing ({mode}): the field depends on the position"
ADAPTIVE = "adaptive pooling that does not divide: the windows differ"
PADDED = "{mode} padding: the field differs at the rim"
ROLLED = "a cyclic shift: the field jumps where the image ends"
INDEXED = "positions were picked by index"


class TensorField:
    """How the elements of a tensor of `shape` see each tracked axis. Immutable.

    The methods are named after what an operation does; each returns the field of the result, and
    `out` is the result's whole shape. A mistaken shape raises `ValueError`.
    """

    __slots__ = ("_blank", "_facts", "factors", "shape", "views")

    def __init__(
        self, shape: Shape, views: tuple[AxisView, ...], factors: Factors | None = None
    ) -> None:
        self.shape = shape
        self.views = views
        self.factors = factors
        """The factors of each dimension; None where each is one."""
        self._blank = all([view is BLIND for view in views])
        self._facts: tuple[AxisField, ...] | None = None

    @classmethod
    def of_input(cls, shape: Shape, carries: Mapping[int, int], axes: int) -> TensorField:
        """The input itself: dimension d is axis carries[d] of `axes`, seen row by row."""
        views = [BLIND] * axes
        for dim, axis in carries.items():
            size = shape[dim]
            views[axis] = AxisView((dim,), Periodic(1, ((0, 0, FULL),)), 0, size - 1, size)
        # Axes of one length share their form, and with it the work of all that follows.
        shared = next((view.form for view in views if view is not BLIND), None)
        return cls(
            tuple(shape),
            tuple(
                view if view is BLIND or shared is None else _formed(view, shared) for view in views
            ),
        )

    @classmethod
    def blank(cls, shape: Shape, axes: int) -> TensorField:
        """A constant or a weight: it sees nothing."""
        return cls(tuple(shape), (BLIND,) * axes)

    # Windows and what repeats like them

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
        """Convolution and pooling along `dims`. `groups` matters only where channels carry an
        axis, as behind a space-to-depth: as many groups as channels mix none."""
        if self.factors is None:
            views = self._windows_one_by_one(dims, kernel, stride, padding, dilation)
            if views is not None:
                return TensorField(out, views)
        taps = {
            dim: field_taps.window(kernel[i], stride[i], _before(padding[i]), dilation[i])
            for i, dim in enumerate(dims)
        }
        return self._mixed(dims, groups)._along(out, taps, "")

    def _windows_one_by_one(
        self,
        dims: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[Padding],
        dilation: Sequence[int],
    ) -> tuple[AxisView, ...] | None:
        """The hot case: each axis along one of `dims`, periodic. None where it is another."""
        views = []
        done: tuple[object, ...] = ()
        made: Periodic | None = None
        for view in self.views:
            carriers = view.carriers
            if not carriers:
                views.append(view)
                continue
            form = view.form
            if len(carriers) != 1 or carriers[0] not in dims or not isinstance(form, Periodic):
                return None
            i = dims.index(carriers[0])
            before = _before(padding[i])
            asked = (form, kernel[i], stride[i], before, dilation[i])
            if made is None or asked != done:
                made = form.windows(kernel[i], stride[i], before, dilation[i])
                done = asked
            seen = form.reach(self.shape[carriers[0]])
            low, high = view.low, view.high
            if seen is not None:
                low, high = max(low, seen[0]), min(high, seen[1])
            moved = AxisView(carriers, made, low, high, view.size)
            views.append(moved if made.advance else field_views.settled(moved))
        return tuple(views)

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
    ) -> TensorField:
        """Transposed convolution, fold and what else writes windows."""
        taps = {
            dim: field_taps.transposed(kernel[i], stride[i], _before(padding[i]), dilation[i])
            for i, dim in enumerate(dims)
        }
        return self._mixed(dims, groups)._along(out, taps, TRANSPOSED)

    def resized(
        self,
        out: Shape,
        dims: Sequence[int],
        mode: str,
        align_corners: bool = False,
        scales: Sequence[float | None] | None = None,
        *,
        antialias: bool = False,
    ) -> TensorField:
        """`interpolate`; `scales` are the factors it was given and keeps to, None for sizes."""
        taps = {
            dim: field_resizing.resized(
                self.shape[dim],
                out[dim],
                mode,
                bool(align_corners),
                scales[i] if scales is not None else None,
                antialias,
            )
            for i, dim in enumerate(dims)
        }
        return self._along(out, taps, RESIZED.format(mode=mode))

    def adaptive(self, out: Shape, dims: Sequence[int]) -> TensorField:
        """Adaptive pooling; to one position, every element sees everything."""
        field = self
        whole = [dim for dim in dims if out[dim] == 1 and self.shape[dim] > 1]
        if whole:
            field = self.reduced(whole, keepdim=True)
        taps = {
            dim: field_taps.adaptive(self.shape[dim], out[dim])
            for dim in dims
            if dim not in whole and self.shape[dim] != out[dim]
        }
        return field._along(out, taps, ADAPTIVE)

    def padded(
        self, out: Shape, pads: Mapping[int, tuple[int, int]], mode: str = "constant"
    ) -> TensorField:
        """Padding, or cropping where negative: constant, reflect, replicate or circular."""
        taps = {
            dim: field_taps.padded(self.shape[dim], out[dim], before, mode)
            for dim, (before, after) in pads.items()
            if before or after
        }
        return self._along(out, taps, PADDED.format(mode=mode))

    def sliced(self, out: Shape, dim: int, start: int, step: int = 1) -> TensorField:
        """Every `step`-th position from `start` on. One position that an axis ran along: the
        axis is seen the same by all that is left."""
        if out == self.shape and start == 0 and step == 1:
            return self
        return self._along(out, {dim: field_taps.single(start, step)}, "")

    def flipped(self, dim: int) -> TensorField:
        taps = field_taps.single(self.shape[dim] - 1, -1)
        return self._along(self.shape, {dim: taps}, "")

    def rolled(self, dim: int, shift: int) -> TensorField:
        if shift % max(self.shape[dim], 1) == 0:
            return self
        return self._along(self.shape, {dim: field_taps.rolled(self.shape[dim], shift)}, ROLLED)

    def indexed(self, out: Shape, dim: int, rows: Sequence[int]) -> TensorField:
        """The positions `rows` along `dim`, as `index_select`."""
        return self._along(out, {dim: field_taps.listed(rows, self.shape[dim])}, INDEXED)

    # Shapes

    def reshaped(self, out: Shape) -> TensorField:
        """The same elements in row-major order: view, flatten, squeeze, unflatten."""
        if out == self.shape:
            return self
        if math.prod(out) != math.prod(self.shape):
            raise ValueError(f"{self.shape} cannot be viewed as {out}")
        if not self._carried():
            return TensorField(out, self.views)
        field = self._without_single_positions()
        pieces = field_factors.refactored(field._sizes(), out)
        if pieces is None:
            field = field._stretched(out)
            pieces = field_factors.refactored(field._sizes(), out)
            assert pieces is not None
        parts: dict[int, list[int]] = {}
        number = 0
        for group in pieces:
            for _, old in group:
                if old is not None:
                    parts.setdefault(old, []).append(number)
                number += 1
        views = tuple(
            view.carried_by(tuple(part for old in view.carriers for part in parts[old]))
            for view in field.views
        )
        return _grouped(out, views, tuple(tuple(size for size, _ in group) for group in pieces))

    def permuted(self, dims: Sequence[int]) -> TensorField:
        """Dimension i of the result is dimension dims[i]."""
        shape = tuple(self.shape[dim] for dim in dims)
        if not self._carried():
            return TensorField(shape, self.views)
        groups = self._groups()
        new: dict[int, int] = {}
        for dim in dims:
            for factor in groups[dim]:
                new[factor] = len(new)
        views = tuple(
            view.carried_by(tuple(new[carrier] for carrier in view.carriers)) for view in self.views
        )
        factors = self.factors
        return TensorField(
            shape, views, None if factors is None else tuple(factors[dim] for dim in dims)
        )

    def expanded(self, out: Shape) -> TensorField:
        """Broadcast to `out`: new dimensions on the left, longer ones where the length was 1."""
        if out == self.shape:
            return self
        lead = len(out) - len(self.shape)
        if not self._carried():
            return TensorField(out, self.views)
        stretched = [d for d, size in enumerate(self.shape) if out[d + lead] != size]
        field = self._spread_factors(stretched) if stretched else self
        views = tuple(
            view.carried_by(tuple(carrier + lead for carrier in view.carriers))
            for view in field.views
        )
        if field.factors is None:
            return TensorField(out, views)
        own = [(out[d + lead],) if d in stretched else f for d, f in enumerate(field.factors)]
        # A stretched dimension had one factor: its length was 1.
        return _grouped(out, views, (*((size,) for size in out[:lead]), *own))

    # Gathering

    def reduced(self, dims: Sequence[int], keepdim: bool = False) -> TensorField:
        """Sum, mean, max, norm over `dims`: a result sees all that was summed away."""
        gone = {dim % len(self.shape) for dim in dims}
        spread = self.spread(tuple(gone))
        kept = [dim for dim in range(len(self.shape)) if dim not in gone]
        shape = tuple(self.shape[dim] for dim in kept)
        if keepdim:
            shape = tuple(1 if d in gone else size for d, size in enumerate(self.shape))
        if not spread._carried():
            return TensorField(shape, spread.views)
        groups = spread._groups()
        sizes = spread._sizes()
        new: dict[int, int] = {}
        factors: list[tuple[int, ...]] = []
        for dim in range(len(self.shape)):
            if dim not in gone:
                for factor in groups[dim]:
                    new[factor] = sum(map(len, factors)) + groups[dim].index(factor)
                factors.append(tuple(sizes[factor] for factor in groups[dim]))
            elif keepdim:
                factors.append((1,))
        views = tuple(
            view.carried_by(tuple(new[carrier] for carrier in view.carriers))
            for view in spread.views
        )
        return _grouped(shape, views, tuple(factors))

    def spread(self, dims: Sequence[int]) -> TensorField:
        """Softmax, attention, cumulative sums: along `dims` each sees what any sees."""
        return self._spread_factors([dim % len(self.shape) for dim in dims])

    def unknown(self, out: Shape, why: str) -> TensorField:
        """Behind an operation without a rule. What saw nothing still sees nothing."""
        views = tuple(
            view
            if view.blind() or isinstance(view.form, Unknown)
            else AxisView((), Unknown(why), view.low, view.high, view.size)
            for view in self.views
        )
        return TensorField(out, views)

    @staticmethod
    def join(out: Shape, *fields: TensorField) -> TensorField:
        """Elementwise operations with broadcasting: the union."""
        joined: TensorField | None = None
        for field in fields:
            if field is joined or (field._blank and len(fields) > 1):
                continue
            if field.shape != out:
                field = field.expanded(out)
            joined = field if joined is None else _union(joined, field)
        return TensorField(out, (BLIND,) * len(fields[0].views)) if joined is None else joined

    @staticmethod
    def concatenated(dim: int, *fields: TensorField) -> TensorField:
        """Along channels the union; along a dimension that carries an axis, one behind the
        other."""
        dim %= len(fields[0].shape)
        long = sum(field.shape[dim] for field in fields)
        shape = tuple(long if d == dim else size for d, size in enumerate(fields[0].shape))
        alone = [field for field in fields if field.shape[dim]]
        if any(field._carries(dim) for field in alone):
            return _one_behind_the_other(dim, shape, alone)
        return TensorField.join(
            shape,
            *(
                TensorField(shape, f.views) if f.factors is None else f._lengthened(dim, long)
                for f in alone
            ),
        )

    @staticmethod
    def stacked(dim: int, *fields: TensorField) -> TensorField:
        """Along a new dimension: the union."""
        dim %= len(fields[0].shape) + 1
        shape = list(fields[0].shape)
        shape.insert(dim, 1)
        return TensorField.concatenated(dim, *(field.reshaped(tuple(shape)) for field in fields))

    @staticmethod
    def contracted(out: Shape, *pairs: tuple[TensorField, Sequence[int | None]]) -> TensorField:
        """Matrix products, einsum, attention: pairs (field, map), map[out dim] = own dim or None;
        own dimensions that nobody names are summed away."""
        fields = []
        for field, named in pairs:
            own = [dim for dim in named if dim is not None]
            gone = [dim for dim in range(len(field.shape)) if dim not in own]
            left = field.reduced(gone) if gone else field
            kept = sorted(own)
            left = left.permuted([kept.index(dim) for dim in own]) if own != kept else left
            shape = tuple(1 if dim is None else field.shape[dim] for dim in named)
            fields.append(left.reshaped(shape))
        return TensorField.join(out, *fields)

    # Facts

    def axes(self) -> tuple[AxisField, ...]:
        """The facts for the record, one for each tracked axis."""
        if self._facts is None:
            sizes = self._sizes()
            facts: list[AxisField] = []
            for number, view in enumerate(self.views):
                before = self.views[number - 1] if number else None
                if before is not None and before.form is view.form and _alike(before, view):
                    facts.append(facts[-1])
                else:
                    facts.append(axis_field(view, sizes))
            self._facts = tuple(facts)
        return self._facts

    def span(self, axis: int, *position: int) -> tuple[int, int] | None:
        """First and last row that one unit sees, inclusive; they may lie outside the image, in
        padding. None where it sees nothing or nobody knows.

        `position` is the unit's index along every dimension, or, where one dimension alone
        carries the axis, along that one; none where all see the same.
        """
        view = self.views[axis]
        return rows_at(view, self._index(view, position), self._sizes())

    def seen(self, axis: int, *position: int) -> tuple[int, int] | None:
        """The rows of the image that one unit really sees: `span` without padding and without
        rows that were dropped or cropped away on the way here."""
        rows = self.span(axis, *position)
        if rows is None:
            return None
        view = self.views[axis]
        lo, hi = max(rows[0], view.low, 0), min(rows[1], view.high, view.size - 1)
        return (lo, hi) if lo <= hi else None

    def _index(self, view: AxisView, position: Sequence[int]) -> list[int]:
        groups = self._groups()
        if len(position) != len(self.shape):
            carrying = [d for d, g in enumerate(groups) if any(f in view.carriers for f in g)]
            if len(position) != len(carrying) and carrying:
                raise ValueError(
                    f"{len(position)} indices for {len(self.shape)} dimensions,"
                    f" of which {len(carrying)} carry the axis"
                )
            whole = [0] * len(self.shape)
            for dim, place in zip(carrying, position, strict=False):
                whole[dim] = place
            position = whole
        sizes = self._sizes()
        index: list[int] = []
        for dim, group in enumerate(groups):
            place = position[dim]
            if not -self.shape[dim] <= place < self.shape[dim]:
                raise ValueError(f"index {place} in a dimension of {self.shape[dim]}")
            place %= self.shape[dim]
            parts = []
            for factor in reversed(group):
                place, part = divmod(place, sizes[factor])
                parts.append(part)
            index += reversed(parts)
        return index

    # Bookkeeping

    def _carried(self) -> bool:
        return any(view.carriers for view in self.views)

    def _sizes(self) -> Shape:
        """The length of each factor, in order."""
        if self.factors is None:
            return self.shape
        return tuple(size for group in self.factors for size in group)

    def _groups(self) -> list[range]:
        """The numbers of each dimension's factors."""
        if self.factors is None:
            return [range(dim, dim + 1) for dim in range(len(self.shape))]
        groups = []
        start = 0
        for group in self.factors:
            groups.append(range(start, start + len(group)))
            start += len(group)
        return groups

    def _carries(self, dim: int) -> bool:
        group = self._groups()[dim]
        return any(carrier in group for view in self.views for carrier in view.carriers)

    def _along(self, out: Shape, taps: Mapping[int, Taps | Table], why: str) -> TensorField:
        """Behind an operation that reads by `taps` along some dimensions."""
        if not self._carried():
            return TensorField(out, self.views)
        field = self
        for dim in taps:
            field = field._single(dim)
        for dim, size in enumerate(field.shape):
            if dim not in taps and out[dim] != size:
                field = field._lengthened(dim, out[dim])
        groups, sizes = field._groups(), field._sizes()
        views = list(field.views)
        for dim, read in taps.items():
            factor = groups[dim][0]
            views = [
                field_views.through(view, factor, read, out[dim], sizes, why) for view in views
            ]
            changed = list(sizes)
            changed[factor] = out[dim]
            sizes = tuple(changed)
        if field.factors is None:
            return TensorField(out, tuple(views))
        factors = tuple((out[d],) if d in taps else f for d, f in enumerate(field.factors))
        return _grouped(out, tuple(views), factors)

    def _mixed(self, dims: Sequence[int], groups: int) -> TensorField:
        """Before a convolution along `dims`: what the channels carry is seen by all of a group."""
        channel = min(dims) - 1
        if channel < 0 or not self._carries(channel) or groups >= self.shape[channel]:
            return self
        if groups == 1:
            return self._spread_factors([channel])
        shape = self.shape
        split = (*shape[:channel], groups, shape[channel] // groups, *shape[channel + 1 :])
        return self.reshaped(split).spread((channel + 1,)).reshaped(shape)

    def _lengthened(self, dim: int, size: int) -> TensorField:
        """With `size` positions along a dimension that then carries nothing."""
        field = self._spread_factors([dim])
        shape = tuple(size if d == dim else old for d, old in enumerate(field.shape))
        if field.factors is None:
            return TensorField(shape, field.views)
        field = field._single(dim)
        if field.factors is None:
            return TensorField(shape, field.views)
        factors = tuple((size,) if d == dim else f for d, f in enumerate(field.factors))
        return _grouped(shape, field.views, factors)

    def _single(self, dim: int) -> TensorField:
        """The same with dimension `dim` as one factor."""
        if self.factors is None or len(self.factors[dim]) == 1:
            return self
        inside = self._groups()[dim]
        sizes = self._sizes()
        start, drop = inside[0], len(inside) - 1
        views = []
        for view in self.views:
            whole = field_views.collapsed(view, inside, sizes, start)
            moved = tuple(c - drop if c > inside[-1] else c for c in whole.carriers)
            views.append(whole.carried_by(moved))
        factors = tuple((self.shape[d],) if d == dim else f for d, f in enumerate(self.factors))
        return _grouped(self.shape, tuple(views), factors)

    def _spread_factors(self, dims: Sequence[int]) -> TensorField:
        groups = self._groups()
        factors = [factor for dim in dims for factor in groups[dim]]
        sizes = self._sizes()
        views = tuple(field_views.reduced(view, factors, sizes) for view in self.views)
        if all(new is old for new, old in zip(views, self.views, strict=True)):
            return self
        return TensorField(self.shape, views, self.factors)

    def _without_single_positions(self) -> TensorField:
        """Factors of one position carry nothing: a reshape may drop them."""
        sizes = self._sizes()
        ones = [factor for factor, size in enumerate(sizes) if size == 1]
        if not any(carrier in ones for view in self.views for carrier in view.carriers):
            return self
        views = tuple(field_views.reduced(view, ones, sizes) for view in self.views)
        return TensorField(self.shape, views, self.factors)

    def _stretched(self, out: Shape) -> TensorField:
        """With the dimensions that a reshape to `out` tears apart merged into one factor."""
        runs = field_factors.stretches(self.shape, out)
        shape = tuple(math.prod(self.shape[dim] for dim in own) for own, _ in runs)
        merged = self.reshaped(shape)
        for dim, (own, new) in enumerate(runs):
            if len(own) > 1 or len(new) > 1:
                merged = merged._single(dim)
        return merged

    def _factored(self, factors: Factors) -> TensorField:
        """The same with these factors, into which its own can be split."""
        if self.factors == factors or not self._carried():
            return TensorField(self.shape, self.views, factors)
        flat = self.reshaped(tuple(size for group in factors for size in group))
        return TensorField(self.shape, flat.views, factors)


def _grouped(shape: Shape, views: tuple[AxisView, ...], factors: Factors) -> TensorField:
    """The field, its factors forgotten where they say nothing."""
    if all(len(group) == 1 for group in factors) or not any(view.carriers for view in views):
        return TensorField(shape, views)
    return TensorField(shape, views, factors)


def _common(fields: Sequence[TensorField]) -> list[TensorField]:
    """Fields of one rank with the same factors along each dimension of equal length."""
    found = list(fields)
    if all(field.factors is None for field in found):
        return found
    for dim in range(len(found[0].shape)):
        groups = {field.factors[dim] for field in found if field.factors is not None}
        if len({group for group in groups if len(group) > 1}) > 1:
            found = [field._single(dim) for field in found]
    factors: list[tuple[int, ...]] = []
    for dim in range(len(found[0].shape)):
        groups = {field.factors[dim] for field in found if field.factors is not None}
        split = [group for group in groups if len(group) > 1]
        factors.append(split[0] if split else (found[0].shape[dim],))
    return [field._factored(_sized(tuple(factors), field.shape)) for field in found]


def _sized(factors: Factors, shape: Shape) -> Factors:
    """Single factors have the length of their dimension."""
    return tuple((shape[d],) if len(f) == 1 else f for d, f in enumerate(factors))


def _union(one: TensorField, two: TensorField) -> TensorField:
    """Of two fields of one shape."""
    factors = None
    if one.factors is not None or two.factors is not None:
        one, two = _common([one, two])
        factors = one.factors
    sizes = one._sizes()
    views: list[AxisView] = []
    before: tuple[AxisView, AxisView] | None = None
    for a, b in zip(one.views, two.views, strict=True):
        single = len(a.carriers) == 1 and a.carriers == b.carriers
        if (
            single
            and before is not None
            and _twin(a, before[0])
            and _twin(b, before[1])
            and sizes[a.carriers[0]] == sizes[before[0].carriers[0]]
            and views[-1].carriers
        ):
            # Height and width of a square image: the work is done.
            views.append(views[-1].carried_by(a.carriers))
        else:
            views.append(field_views.union(a, b, sizes))
        before = (a, b) if single else None
    if factors is None:
        return TensorField(one.shape, tuple(views))
    return _grouped(one.shape, tuple(views), factors)


def _one_behind_the_other(dim: int, shape: Shape, fields: Sequence[TensorField]) -> TensorField:
    """Concatenation along a dimension that carries an axis, row by row."""
    fields = _common([field._single(dim) for field in fields])
    factor = fields[0]._groups()[dim][0]
    views = []
    for axis in range(len(fields[0].views)):
        own = [(field.views[axis], field._sizes()) for field in fields]
        views.append(field_views.behind(own, factor))
    factors = fields[0].factors
    if factors is None:
        return TensorField(shape, tuple(views))
    whole = tuple((shape[dim],) if d == dim else f for d, f in enumerate(factors))
    return _grouped(shape, tuple(views), whole)


def _twin(one: AxisView, two: AxisView) -> bool:
    """Whether they differ only in the factor that carries them."""
    return one.form is two.form and one.low == two.low and one.high == two.high


def _alike(one: AxisView, two: AxisView) -> bool:
    """Whether two axes of one form have the same facts."""
    return (
        one.low == two.low
        and one.high == two.high
        and one.size == two.size
        and len(one.carriers) == len(two.carriers)
    )


def _before(padding: Padding) -> int:
    return padding if isinstance(padding, int) else padding[0]


def _formed(view: AxisView, form: Form) -> AxisView:
    return AxisView(view.carriers, form, view.low, view.high, view.size)
