"""How an inspection writes its numbers: one unit down a column, four digits in a total."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.records.inspection import AxisField, InspectionRecord, Shape

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: int) -> str:
    """A count in full.

    >>> count(11_689_512)
    '11,689,512'
    """
    return f"{value:,}"


def amount(value: float) -> str:
    """A large count with four digits and its unit, as a total is written.

    >>> amount(1_814_073_344), amount(416_520), amount(97)
    ('1.814 G', '416.5 k', '97')
    """
    for factor, unit in _UNITS:
        if abs(value) >= factor * 0.99995:
            scaled = value / factor
            places = max(0, 3 - (len(str(int(abs(scaled) + 5e-4))) - 1))
            return f"{scaled:,.{places}f} {unit}"
    return f"{value:,.0f}"


def at_least(cell: str, unruled: object) -> str:
    """A count that leaves out operations without a rule is at least so much.

    >>> at_least("416.5 k", (("sort", 1),)), at_least("97", ())
    ('>=416.5 k', '97')
    """
    return f">={cell}" if unruled else cell


def column(values: Sequence[int]) -> list[str]:
    """Counts of one column in one unit, which the largest chooses; a small one is never 0.

    >>> column([118_013_952, 513_000, 12_000, 0])
    ['118.0 M', '0.5 M', '<0.1 M', '0']
    >>> column([9408, 60])
    ['9,408', '60']
    """
    most = max(values, default=0)
    if most < 1e5:
        return [count(value) for value in values]
    factor, unit = (1e9, "G") if most >= 1e11 else (1e6, "M") if most >= 1e6 else (1e3, "k")
    return [_in_unit(value, factor, unit) for value in values]


def _in_unit(value: int, factor: float, unit: str) -> str:
    if value == 0:
        return "0"
    shown = f"{value / factor:,.1f}"
    return f"<0.1 {unit}" if shown == "0.0" else f"{shown} {unit}"


def byte_unit(values: Sequence[int]) -> tuple[float, str]:
    """The unit in which a column of bytes reads: (bytes in it, its name)."""
    most = max(values, default=0)
    return (1e9, "GB") if most >= 1e10 else (1e6, "MB") if most >= 1e5 else (1e3, "kB")


def in_bytes(value: float, factor: float) -> str:
    """Bytes in that unit, three digits: `3.21`, `29.9`, `0.00`.

    >>> in_bytes(3_211_264, 1e6), in_bytes(29_900_000, 1e6), in_bytes(4000, 1e6)
    ('3.21', '29.9', '0.00')
    """
    scaled = value / factor
    return f"{scaled:.2f}" if scaled < 9.995 else f"{scaled:,.1f}"


def memory(value: float) -> str:
    """Bytes with a unit.

    >>> memory(46_758_048), memory(512)
    ('46.8 MB', '512 bytes')
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= 0.9995 * factor:
            return f"{in_bytes(value, factor)} {unit}"
    return f"{value:.0f} bytes"


def ratio(value: float, base: float) -> str:
    """How many times `base` the value is.

    >>> ratio(3, 2), ratio(0, 0), ratio(1, 0), ratio(1, 300)
    ('1.50x', '1.00x', '-', '0.00333x')
    """
    if base == 0:
        return "1.00x" if value == 0 else "-"
    times = value / base
    return f"{times:.0f}x" if times >= 100 else f"{times:.3g}x" if times < 0.1 else f"{times:.2f}x"


def shape(sizes: Shape) -> str:
    """`1x3x224x224`; of a number without axes, `()`."""
    return "x".join(str(each) for each in sizes) or "()"


def sample(sizes: Shape, record: InspectionRecord) -> str:
    """The shape of one sample: without the batch, where the first axis is that."""
    batch = record.inputs[0][0] if record.inputs and record.inputs[0] else None
    return shape(sizes[1:] if len(sizes) > 1 and sizes[0] == batch else sizes)


def outputs(shapes: Sequence[Shape], record: InspectionRecord) -> str:
    """The first tensor of an output, and how many more there are."""
    if not shapes:
        return "-"
    more = f" +{len(shapes) - 1}" if len(shapes) > 1 else ""
    return sample(shapes[0], record) + more


def field_size(fields: Sequence[AxisField], record: InspectionRecord) -> str:
    """The receptive field as a cell: `43`, `43x99`, `all`; `<=43` where it varies, `?` where it is
    not known, `none` where no pixel reaches. Of several inputs, `43 | 7`."""
    return _by_input(fields, record, _size)


def field_stride(fields: Sequence[AxisField], record: InspectionRecord) -> str:
    """The stride as a cell, `-` where there is none."""
    return _by_input(fields, record, _stride)


def _by_input(fields: Sequence[AxisField], record: InspectionRecord, write: object) -> str:
    assert callable(write)
    groups: dict[int, list[str]] = {}
    for (number, _), field in zip(record.spatial, fields, strict=False):
        groups.setdefault(number, []).append(str(write(field)))
    cells = [each[0] if len(set(each)) == 1 else "x".join(each) for each in groups.values() if each]
    if len(set(cells)) == 1:
        return cells[0]
    return " | ".join(cells) if cells else "-"


def _size(field: AxisField) -> str:
    if field.sight == "window":
        return str(field.size)
    if field.sight == "varies":
        return f"<={field.size}" if field.size is not None else "?"
    return {"all": "all", "nothing": "none", "unknown": "?"}[field.sight]


def _stride(field: AxisField) -> str:
    if field.sight not in ("window", "varies") or field.stride is None:
        return "-"
    return f"{field.stride:.4g}"
