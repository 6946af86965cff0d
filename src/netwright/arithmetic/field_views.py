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

import numpy as np

from netwright.arithmetic import field_rows
from netwright.arithmetic.field_forms import (
    NOTHING,
    Form,
    Periodic,
    Unknown,
    Varying,
    constant,
    regular,
)
from netwright.arithmetic.field_rows import Rows
from netwright.arithmetic.field_taps import Table, Taps, repeats

MISALIGNED = "paths with different advance meet: their fields drift apart"
GLOBAL_MEETS = "a part that sees the same everywhere meets one that moves"
SCATTERED = "positions were mixed in a way that is not followed"
FLATTENED = "positions of several dimensions are numbered in one row"
BEHIND = "parts with fields of their own stand one behind the other"
CROSSED = "every pair of positions sees its own rows"

# A field over more pairs of positions than this is not held pair by pair.
_MOST_UNITS = 1 << 22


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
    return everywhere(view, None if seen is None else field_rows.hull(*seen), sizes)


def union(one: AxisView, two: AxisView, sizes: Sequence[int]) -> AxisView:
    """What both see together, over the factors of both."""
    if one is two or two.blind():
        return one
    if one.blind():
        return two
    size = max(one.size, two.size)
    low, high = min(one.low, two.low), max(one.high, two.high)
    if isinstance(one.form, Unknown) or isinstance(two.form, Unknown):
        form = one.form if isinstance(one.form, Unknown) else two.form
        return AxisView((), form, low, high, size)
    if one.carriers == two.carriers:
        if one.form is two.form:
            return AxisView(one.carriers, one.form, low, high, size)
        if isinstance(one.form, Periodic) and isinstance(two.form, Periodic):
            joined = one.form.joined(two.form, MISALIGNED)
            if joined is not None:
                return AxisView(one.carriers, joined, low, high, size)
        return _union_by_unit(one, two, one.carriers, (low, high, size), sizes, MISALIGNED)
    for same, other in ((one, two), (two, one)):
        if not same.carriers and _covers(same, other, sizes):
            return AxisView((), same.form, low, high, size)
    carriers = tuple(sorted({*one.carriers, *two.carriers}))
    if math.prod(sizes[carrier] for carrier in carriers) > _MOST_UNITS:
        return AxisView((), Unknown(SCATTERED), low, high, size)
    crossed = bool(one.carriers) and bool(two.carriers)
    why = CROSSED if crossed else GLOBAL_MEETS
    return _union_by_unit(one, two, carriers, (low, high, size), sizes, why)


def _covers(same: AxisView, other: AxisView, sizes: Sequence[int]) -> bool:
    """Whether what `same` sees everywhere holds all the rows that `other` can see."""
    assert isinstance(same.form, Periodic)
    rows = same.form.phases[0]
    low, high = bounds(other, sizes)
    return rows is not None and rows[0] <= low and rows[1] >= high


def _union_by_unit(
    one: AxisView,
    two: AxisView,
    carriers: tuple[int, ...],
    facts: tuple[int, int, int],
    sizes: Sequence[int],
    why: str,
) -> AxisView:
    """Both unit by unit over `carriers`. The longer reason why comes first: it is the cause."""
    held = [_over(view, carriers, sizes) for view in (one, two)]
    return settled(AxisView(carriers, held[0].joined(held[1], why), *facts))


def _over(view: AxisView, carriers: Sequence[int], sizes: Sequence[int]) -> Varying:
    """The form with an array axis for each of `carriers`, of length 1 where it does not move."""
    held = varying(view, sizes)
    order = [view.carriers.index(carrier) for carrier in carriers if carrier in view.carriers]
    shape = [sizes[carrier] if carrier in view.carriers else 1 for carrier in carriers]
    lo, hi = held.lo.transpose(order).reshape(shape), held.hi.transpose(order).reshape(shape)
    return Varying(lo, hi, held.why)


def behind(parts: Sequence[tuple[AxisView, Sequence[int]]], factor: int) -> AxisView:
    """Views with the sizes of their factors, one behind the other along `factor`."""
    seeing = [view for view, _ in parts if not view.blind()]
    if not seeing:
        return BLIND
    low, high = min(view.low for view in seeing), max(view.high for view in seeing)
    size = max(view.size for view in seeing)
    for view in seeing:
        if isinstance(view.form, Unknown):
            return AxisView((), view.form, low, high, size)
    carriers = tuple(sorted({factor, *(c for view in seeing for c in view.carriers)}))
    held = []
    for view, sizes in parts:
        form = _over(view, carriers, sizes)
        full = [sizes[carrier] for carrier in carriers]
        held.append((np.broadcast_to(form.lo, full), np.broadcast_to(form.hi, full)))
    place = carriers.index(factor)
    lo, hi = (np.concatenate(rows, axis=place) for rows in zip(*held, strict=True))
    why = next((view.form.why for view in seeing if view.form.why), BEHIND)
    return AxisView(carriers, regular(Varying(lo, hi, why)), low, high, size)


def collapsed(view: AxisView, inside: Sequence[int], sizes: Sequence[int], to: int) -> AxisView:
    """The consecutive factors `inside` become one, numbered `to`."""
    carried = [factor for factor in inside if factor in view.carriers]
    if not carried:
        return view
    outside = tuple(carrier for carrier in view.carriers if carrier not in inside)
    if isinstance(view.form, Unknown):
        return AxisView((), view.form, view.low, view.high, view.size)
    solid = [factor for factor in inside if sizes[factor] > 1]
    lead = [factor for factor in solid if factor in view.carriers]
    if not outside and isinstance(view.form, Periodic):
        own = [carrier for carrier in view.carriers if sizes[carrier] > 1]
        if own == lead == solid[: len(lead)]:
            inner = math.prod(sizes[factor] for factor in solid[len(lead) :])
            form = view.form
            if inner > 1:
                form = form.through(repeats(inner), FLATTENED)
            return settled(AxisView((to,), form, view.low, view.high, view.size))
    whole = (*outside, *inside)
    many = math.prod(sizes[factor] for factor in whole)
    if many > _MOST_UNITS:
        return AxisView((), Unknown(SCATTERED), view.low, view.high, view.size)
    held = varying(view, sizes)
    places = [view.carriers.index(factor) for factor in (*outside, *carried)]
    aligned = [sizes[factor] if factor in view.carriers else 1 for factor in whole]
    full = [sizes[factor] for factor in whole]
    shape = [sizes[factor] for factor in outside] + [math.prod(sizes[f] for f in inside)]
    lo, hi = (
        np.broadcast_to(rows.transpose(places).reshape(aligned), full).reshape(shape)
        for rows in (held.lo, held.hi)
    )
    form_ = Varying(lo, hi, held.why or FLATTENED)
    return AxisView((*outside, to), form_, view.low, view.high, view.size)


def settled(view: AxisView) -> AxisView:
    """Without carriers where the field does not move."""
    form = view.form
    if isinstance(form, Periodic) and form.advance == 0 and len(form.phases) == 1:
        rows = form.phases[0]
        if rows is None:
            return BLIND
        return AxisView((), form, view.low, view.high, view.size)
    return view
