"""How one tensor sees one tracked axis: which of its factors carry the axis, and in what form.

A tensor's dimensions are products of factors, numbered in order; in most tensors each dimension
is one factor. `carriers` are the factors along which the field moves, the most significant first:
together they count the running index of `form`. No carriers: every element sees the same.

`low` and `high` bound the rows that can matter at all: a strided window may drop the last rows, a
crop the first, and a later padding does not bring them back. `size` is the length of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.arithmetic.sight import row_sets
from netwright.arithmetic.sight.forms import (
    NOTHING,
    Form,
    Periodic,
    Unknown,
    Varying,
    constant,
)
from netwright.arithmetic.sight.reading import Table, Taps
from netwright.arithmetic.sight.row_sets import Rows


class AxisView:
    """One axis as one tensor sees it. Immutable."""

    __slots__ = ("carriers", "form", "high", "low", "size")

    def __init__(
        self, carriers: tuple[int, ...], form: Form, low: int, high: int, size: int
    ) -> None:
        self.carriers = carriers
        self.form = form
        self.low = low
        self.high = high
        self.size = size

    def carried_by(self, carriers: tuple[int, ...]) -> AxisView:
        """The same, the factors renumbered."""
        if carriers == self.carriers:
            return self
        return AxisView(carriers, self.form, self.low, self.high, self.size)

    def blind(self) -> bool:
        return self.form is NOTHING


BLIND = AxisView((), NOTHING, 0, -1, 0)


def everywhere(view: AxisView, rows: Rows | None, sizes: Sequence[int]) -> AxisView:
    """All elements see `rows`, which were gathered from `view`."""
    if rows is None:
        return BLIND
    low, high = bounds(view, sizes)
    return AxisView((), constant(rows), low, high, view.size)


def bounds(view: AxisView, sizes: Sequence[int]) -> tuple[int, int]:
    """The rows that can matter behind this tensor: those that its real units see."""
    form = view.form
    if isinstance(form, Periodic):
        seen = form.reach(units(view, sizes))
    elif isinstance(form, Varying):
        seen = form.reach()
    else:
        return view.low, view.high
    if seen is None:
        return view.low, view.high
    return max(view.low, seen[0]), min(view.high, seen[1])


def units(view: AxisView, sizes: Sequence[int]) -> int:
    """How many values the running index takes."""
    return math.prod(sizes[carrier] for carrier in view.carriers)


def varying(view: AxisView, sizes: Sequence[int], why: str = "") -> Varying:
    """The form unit by unit, an array axis for each carrier."""
    form = view.form
    shape = tuple(sizes[carrier] for carrier in view.carriers)
    if isinstance(form, Varying):
        return Varying(form.lo.reshape(shape), form.hi.reshape(shape), form.why or why)
    assert isinstance(form, Periodic)
    flat = form.spread_out(math.prod(shape), why)
    return Varying(flat.lo.reshape(shape), flat.hi.reshape(shape), flat.why)


def through(
    view: AxisView, factor: int, taps: Taps | Table, out: int, sizes: Sequence[int], why: str
) -> AxisView:
    """Behind an operation along `factor`, which then has `out` positions."""
    if factor not in view.carriers or isinstance(view.form, Unknown):
        return view
    low, high = bounds(view, sizes)
    if len(view.carriers) == 1 and isinstance(view.form, Periodic) and isinstance(taps, Taps):
        form: Form = view.form.through(taps, why)
    else:
        held = varying(view, sizes)
        form = held.through(taps, view.carriers.index(factor), out, why)
    return settled(AxisView(view.carriers, form, low, high, view.size))


def reduced(view: AxisView, factors: Sequence[int], sizes: Sequence[int]) -> AxisView:
    """Every element sees what any along these factors saw."""
    gone = [place for place, carrier in enumerate(view.carriers) if carrier in factors]
    if not gone:
        return view
    kept = tuple(carrier for carrier in view.carriers if carrier not in factors)
    form = view.form
    low, high = bounds(view, sizes)
    if isinstance(form, Unknown):
        return AxisView((), form, low, high, view.size)
    shape = [sizes[carrier] for carrier in view.carriers]
    if isinstance(form, Periodic):
        if not kept:
            every = form.seen_by(0, 1, math.prod(shape))
            return everywhere(view, every, sizes)
        if gone[0] == len(kept):  # the least significant
            many = math.prod(shape[gone[0] :])
            fewer = form.through(Taps(many, (((0, 1, many),),)))
            return settled(AxisView(kept, fewer, low, high, view.size))
        if gone[-1] == len(gone) - 1:  # the most significant
            inner, outer = math.prod(shape[len(gone) :]), math.prod(shape[: len(gone)])
            fewer = form.through(Taps(1, (((0, inner, outer),),)))
            return settled(AxisView(kept, fewer, low, high, view.size))
    held = varying(view, sizes).reduced(gone)
    if kept:
        return AxisView(kept, held, low, high, view.size)
    seen = held.reach()
    return everywhere(view, None if seen is None else row_sets.hull(*seen), sizes)


def settled(view: AxisView) -> AxisView:
    """Without carriers where the field does not move."""
    form = view.form
    if isinstance(form, Periodic) and form.advance == 0 and len(form.phases) == 1:
        rows = form.phases[0]
        if rows is None:
            return BLIND
        return AxisView((), form, view.low, view.high, view.size)
    return view
