"""What a record says of one axis of one tensor's field: `AxisField` from the running form."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.arithmetic.sight import axis_views, gathering, row_sets
from netwright.arithmetic.sight.axis_views import AxisView, varying
from netwright.arithmetic.sight.forms import Periodic, Unknown, Varying
from netwright.arithmetic.sight.tensors import Tensor, single
from netwright.arithmetic.sight.uniting import over
from netwright.records.inspection import AxisField
from netwright.records.unit_rows import UnitRows

NOTHING_SEEN = AxisField(sight="nothing")
ALL_SEEN = AxisField(sight="all")


def axis_fields(tensor: Tensor) -> tuple[AxisField, ...]:
    """The facts of each axis; axes that are seen alike share theirs."""
    if tensor.factors is not None:
        tensor = _by_position(tensor)
    views, sizes = tensor.views, tensor.sizes
    found: list[AxisField] = []
    before: AxisView | None = None
    for view in views:
        if before is not None and _alike(before, view, sizes):
            found.append(found[-1])
        else:
            found.append(axis_field(view, sizes))
        before = view
    return tuple(found)


def _alike(one: AxisView, two: AxisView, sizes: Sequence[int]) -> bool:
    return (
        one.form is two.form
        and (one.low, one.high, one.size) == (two.low, two.high, two.size)
        and [sizes[factor] for factor in one.carriers] == [sizes[factor] for factor in two.carriers]
    )


def _by_position(tensor: Tensor) -> Tensor:
    """Its units counted along whole dimensions: behind a depth-to-space several neighbours see
    the same, and behind a space-to-depth the channels of one position together see more. Where
    one dimension numbers several axes in a row, as tokens do, each keeps its own count."""
    dims = _dims(tensor)
    sizes = tensor.sizes
    views = []
    for view in tensor.views:
        # What counts finer along an earlier dimension are channels.
        first = dims[view.carriers[0]] if view.carriers else 0
        running = isinstance(view.form, Periodic) or (
            isinstance(view.form, Varying) and view.form.lo.ndim == 1
        )
        channels = [carrier for carrier in view.carriers if dims[carrier] < first]
        views.append(axis_views.reduced(view, channels, sizes) if running else view)
    tensor = Tensor(tensor.shape, tuple(views), tensor.factors)
    for dim in range(len(tensor.shape)):
        group = tensor.groups[dim]
        carrying = [view for view in tensor.views if any(c in group for c in view.carriers)]
        if len(carrying) == 1 and all(c in group for c in carrying[0].carriers):
            tensor = single(tensor, dim)
    return tensor


def _dims(tensor: Tensor) -> list[int]:
    """The dimension that each factor is of."""
    return [dim for dim, group in enumerate(tensor.groups) for _ in group]


def dims_along(tensor: Tensor) -> tuple[tuple[int, ...], ...]:
    """Of each axis the dimensions along which what is seen of it moves."""
    if tensor.factors is None:
        return tuple([tuple(sorted(view.carriers)) for view in tensor.views])
    dims = _dims(tensor)
    return tuple(
        [tuple(sorted({dims[carrier] for carrier in view.carriers})) for view in tensor.views]
    )


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
        if form.facts is None:
            form.facts = AxisField(
                sight="window",
                size=rows[1] - rows[0] + 1,
                stride=float(form.advance),
                padding=-rows[0],
                reads=row_sets.count(rows),
            )
        return form.facts
    seen = [rows for rows in form.phases if rows is not None]
    largest = max(seen, key=lambda rows: (rows[1] - rows[0], row_sets.count(rows) or 0))
    first = form.phases[0]
    return AxisField(
        sight="varies",
        size=largest[1] - largest[0] + 1,
        stride=form.advance / len(form.phases),
        padding=None if first is None else -first[0],
        reads=row_sets.count(largest),
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
        reads=row_sets.count(rows),
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


def rows_at(tensor: Tensor, axis: int, position: Sequence[int]) -> tuple[int, int] | None:
    """First and last row that the unit at `position` sees; None for no row, or nobody knows."""
    view, sizes = tensor.views[axis], tensor.sizes
    form = view.form
    if isinstance(form, Unknown):
        return None
    index = _factor_index(tensor, whole_index(tensor, axis, position))
    if isinstance(form, Varying):
        place = tuple(index[carrier] for carrier in view.carriers)
        held = varying(view, sizes)
        lo, hi = int(held.lo[place]), int(held.hi[place])
        return (lo, hi) if lo <= hi else None
    unit = 0
    for carrier in view.carriers:
        unit = unit * sizes[carrier] + index[carrier]
    rows = form.at(unit)
    return None if rows is None else (rows[0], rows[1])


def rows_of_map(tensor: Tensor, axis: int, dims: tuple[int, int]) -> UnitRows | None:
    """What each unit of the map along `dims` sees, all other dimensions, channels, together; None
    where nobody knows."""
    others = [dim for dim in range(len(tensor.shape)) if dim not in dims]
    seen = single(single(gathering.reduced(tensor, others, keepdim=False), 0), 1)
    view = seen.views[axis]
    if isinstance(view.form, Unknown):
        return None
    held = over(view, (0, 1), seen.sizes)
    return UnitRows(held.lo, held.hi)


def whole_index(tensor: Tensor, axis: int, position: Sequence[int]) -> list[int]:
    """An index for every dimension, from one for each that carries the axis. Negative ones count
    from the end. Raises `ValueError` for too few, too many or one outside."""
    shape = tensor.shape
    if len(position) != len(shape):
        carriers = tensor.views[axis].carriers
        carrying = [
            dim for dim, group in enumerate(tensor.groups) if any(c in group for c in carriers)
        ]
        if len(position) != len(carrying) and carrying:
            raise ValueError(
                f"{len(position)} indices for {len(shape)} dimensions,"
                f" of which {len(carrying)} carry axis {axis}"
            )
        places = dict(zip(carrying, position, strict=False))
        position = [places.get(dim, 0) for dim in range(len(shape))]
    for dim, (place, size) in enumerate(zip(position, shape, strict=True)):
        if not -size <= place < size:
            raise ValueError(f"index {place} along dimension {dim} of {shape}")
    return [place % size for place, size in zip(position, shape, strict=True)]


def _factor_index(tensor: Tensor, position: Sequence[int]) -> list[int]:
    sizes = tensor.sizes
    index: list[int] = []
    for place, group in zip(position, tensor.groups, strict=True):
        parts = []
        for factor in reversed(group):
            place, part = divmod(place, sizes[factor])
            parts.append(part)
        index += reversed(parts)
    return index
