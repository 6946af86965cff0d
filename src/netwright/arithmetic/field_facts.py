"""What a record says of one axis of one tensor's field: `AxisField` from the running form."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.arithmetic import field_rows
from netwright.arithmetic.field_forms import Periodic, Unknown, Varying
from netwright.arithmetic.field_views import AxisView, units, varying
from netwright.records.inspection import AxisField

NOTHING_SEEN = AxisField(sight="nothing")
ALL_SEEN = AxisField(sight="all")


def axis_field(view: AxisView, sizes: Sequence[int]) -> AxisField:
    """The facts of `view`, whose tensor has factors of these sizes."""
    form = view.form
    if isinstance(form, Unknown):
        return AxisField(sight="unknown", why=form.why)
    if isinstance(form, Varying):
        return _of_units(view, form, sizes)
    if not view.carriers:
        return _of_everywhere(view, form)
    if len(form.phases) == 1:
        rows = form.phases[0]
        if rows is None:
            return NOTHING_SEEN
        return AxisField(
            sight="window",
            size=rows[1] - rows[0] + 1,
            stride=float(form.advance),
            padding=-rows[0],
            reads=field_rows.count(rows),
        )
    seen = [rows for rows in form.phases if rows is not None]
    largest = max(seen, key=lambda rows: (rows[1] - rows[0], field_rows.count(rows) or 0))
    first = form.phases[0]
    return AxisField(
        sight="varies",
        size=largest[1] - largest[0] + 1,
        stride=form.advance / len(form.phases),
        padding=None if first is None else -first[0],
        reads=field_rows.count(largest),
        why=form.why,
    )


def _of_everywhere(view: AxisView, form: Periodic) -> AxisField:
    """Every element sees the same rows: all that there are, all that came so far, or some."""
    rows = form.phases[0]
    if rows is None:
        return NOTHING_SEEN
    if rows[0] <= view.low and rows[1] >= view.high:
        if view.low <= 0 and view.high >= view.size - 1:
            return ALL_SEEN
        why = f"rows {view.low} to {view.high} of {view.size}: no others came through"
        return AxisField(sight="all", why=why)
    return AxisField(
        sight="window",
        size=rows[1] - rows[0] + 1,
        stride=0.0,
        padding=-rows[0],
        reads=field_rows.count(rows),
    )


def _of_units(view: AxisView, form: Varying, sizes: Sequence[int]) -> AxisField:
    lo, hi = form.lo, form.hi
    seeing = lo <= hi
    if not seeing.any():
        return NOTHING_SEEN
    if (lo <= max(view.low, 0)).all() and (hi >= min(view.high, view.size - 1)).all():
        return ALL_SEEN
    stride = None
    if len(view.carriers) == 1 and lo.size > 1 and seeing.reshape(-1)[[0, -1]].all():
        centres = (lo.reshape(-1)[[0, -1]] + hi.reshape(-1)[[0, -1]]) / 2
        stride = float(centres[1] - centres[0]) / (lo.size - 1)
    return AxisField(
        sight="varies",
        size=int((hi - lo)[seeing].max()) + 1,
        stride=stride,
        padding=-int(lo.reshape(-1)[0]) if seeing.reshape(-1)[0] else None,
        why=form.why,
    )


def rows_at(view: AxisView, index: Sequence[int], sizes: Sequence[int]) -> tuple[int, int] | None:
    """First and last row that the unit at these factor indices sees; None for no row."""
    form = view.form
    if isinstance(form, Unknown):
        return None
    if isinstance(form, Varying):
        place = tuple(index[carrier] for carrier in view.carriers)
        held = varying(view, sizes)
        lo, hi = int(held.lo[place]), int(held.hi[place])
        return (lo, hi) if lo <= hi else None
    unit = 0
    for carrier in view.carriers:
        unit = unit * sizes[carrier] + index[carrier]
    assert 0 <= unit < max(units(view, sizes), 1)
    rows = form.at(unit)
    return None if rows is None else (rows[0], rows[1])
