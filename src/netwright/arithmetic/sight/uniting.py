"""How the views of one axis come together: united, one behind the other, factors made one.

Where the forms agree, or one holds the other, the result is as short as they are; otherwise it is
held unit by unit, with the reason in English.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netwright.arithmetic.sight.axis_views import BLIND, AxisView, bounds, settled, varying
from netwright.arithmetic.sight.forms import Periodic, Unknown, Varying, regular
from netwright.arithmetic.sight.reading import repeats

MISALIGNED = "paths with different advance meet: their fields drift apart"
GLOBAL_MEETS = "a part that sees the same everywhere meets one that moves"
SCATTERED = "positions were mixed in a way that is not followed"
REPEATED = "neighbouring positions see the same"
FLATTENED = "positions of several dimensions are numbered in one row"
BEHIND = "parts with fields of their own stand one behind the other"
CROSSED = "every pair of positions sees its own rows"

# A field over more pairs of positions than this is not held pair by pair.
_MOST_UNITS = 1 << 22


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
    held = [over(view, carriers, sizes) for view in (one, two)]
    return settled(AxisView(carriers, held[0].joined(held[1], why), *facts))


def over(view: AxisView, carriers: Sequence[int], sizes: Sequence[int]) -> Varying:
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
    first = seeing[0]
    if factor not in first.carriers and all(
        view.form is first.form and view.carriers == first.carriers for view, _ in parts
    ):
        return AxisView(first.carriers, first.form, low, high, size)
    carriers = tuple(sorted({factor, *(c for view in seeing for c in view.carriers)}))
    held = []
    for view, sizes in parts:
        form = over(view, carriers, sizes)
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
                form = form.through(repeats(inner), REPEATED)
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
