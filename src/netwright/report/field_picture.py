"""What a unit of a layer sees, drawn on an image of the size of the input.

Coordinates are those of the input: pixel r covers r to r + 1. A field that reaches beyond the
image reads padding there; it is drawn dashed outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.core.escaping import html_attribute
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.inspection import AxisField, InspectedLayer, InspectionRecord
from netwright.records.unit_rows import UnitRows, nearest_seeing
from netwright.report.pictures import data_uri
from netwright.report.svg import element, text

Exact = tuple[UnitRows, UnitRows]
"""The rows and the columns that each unit of a map sees."""

SIDE = 360.0
MARGIN = 36.0
"""How far a field is drawn beyond the image; how far it reaches stands in the words."""

_MARK, _OTHER = "#d55e00", "#0068ab"

# Styles, not attributes: the style sheet a drawing is put into would win over these.
_TOLD = "font-size:11.5px;fill:#1a1d21"
_FINE = "font-size:10px;fill:#5b626b"
_NAME = f"font-size:10px;fill:{_OTHER};paint-order:stroke;stroke:#fcfcfa;stroke-width:3px"
_LEAST_LABEL = 44.0  # a smaller rectangle has no room for its name


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The field of one unit: `layer`, its place (row, column), and the pixels it sees, each axis
    (first, last), as on an image without end."""

    layer: str
    unit: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def words(self) -> str:
        return say(
            "{layer}, unit ({row}, {column}): rows {top} to {bottom}, columns {left} to {right}",
            layer=self.layer,
            row=self.unit[0],
            column=self.unit[1],
            top=self.rows[0],
            bottom=self.rows[1],
            left=self.columns[0],
            right=self.columns[1],
        )


def image_axes(record: InspectionRecord) -> tuple[int, int] | None:
    """The numbers of the two tracked axes that are height and width of the first image."""
    found = [k for k, (number, _) in enumerate(record.spatial) if number == record.spatial[0][0]]
    return (found[0], found[1]) if len(found) == 2 else None


def image_size(record: InspectionRecord) -> tuple[int, int] | None:
    """Height and width of the first image."""
    axes = image_axes(record)
    if axes is None:
        return None
    (number, high), (_, wide) = record.spatial[axes[0]], record.spatial[axes[1]]
    return record.inputs[number][high], record.inputs[number][wide]


def map_size(layer: InspectedLayer, record: InspectionRecord) -> tuple[int, int] | None:
    """Height and width of the layer's map, where its output is one."""
    axes = image_axes(record)
    if axes is None or not layer.outputs:
        return None
    (number, high), (_, wide) = record.spatial[axes[0]], record.spatial[axes[1]]
    shape = layer.outputs[0]
    same = len(shape) == len(record.inputs[number])
    return (shape[high], shape[wide]) if same else None


def seen(
    layer: InspectedLayer,
    record: InspectionRecord,
    unit: tuple[int, int] | None = None,
    exact: Exact | None = None,
) -> Seen | None:
    """What `unit` sees; by default the middle one, or where that sees nothing the one nearest to
    it that does. `exact` are the rows and the columns of every unit; without them a layer whose
    field varies has none. None where no unit, or not this one, sees a rectangle."""
    whole = image_size(record)
    found = fields_of(layer, record, exact)
    if whole is None or found is None:
        return None
    size = map_size(layer, record)
    place = unit or ((size[0] // 2, size[1] // 2) if size else (0, 0))
    if unit is None and exact is not None and size is not None:
        place = nearest_seeing(exact, size, place) or place
    rows, columns = (
        each.at(*place) if isinstance(each, UnitRows) else _span(each, place[axis], whole[axis])
        for axis, each in enumerate(found)
    )
    if rows is None or columns is None:
        return None
    return Seen(layer=layer.name or layer.kind, unit=place, rows=rows, columns=columns)


def fields_of(
    layer: InspectedLayer, record: InspectionRecord, exact: Exact | None
) -> tuple[AxisField | UnitRows, AxisField | UnitRows] | None:
    """The field along rows and along columns: the facts for every unit alike, the rows of each
    where they are given, unless all see everything. None where either is not known."""
    axes = image_axes(record)
    if axes is None or len(layer.fields) <= max(axes):
        return None
    found: list[AxisField | UnitRows] = []
    for number, axis in enumerate(axes):
        facts = layer.fields[axis]
        if facts.sight in ("window", "varies") and exact is not None:
            found.append(exact[number])
        elif facts.sight in ("window", "all"):
            found.append(facts)
        else:
            return None
    return found[0], found[1]


def _span(field: AxisField, unit: int, length: int) -> tuple[int, int]:
    if field.sight == "all":
        return (0, length - 1)
    assert field.size is not None
    assert field.stride is not None
    assert field.padding is not None
    first = round(unit * field.stride) - field.padding
    return (first, first + field.size - 1)


def field_picture(
    record: InspectionRecord, shown: Sequence[Seen], *, image: Array | None = None
) -> tuple[str, float, float]:
    """The content of an SVG with the image and the fields, its width and height.

    `image` is uint8 (H, W) or (H, W, 3), stretched over the input; without one, a grid.
    """
    size = image_size(record)
    if size is None:
        return "", 0.0, 0.0
    high, wide = size
    scale = SIDE / max(high, wide)
    parts = [paper(size, scale, image)]
    many = len(shown) > 1
    for number, each in enumerate(shown):
        parts += outline(each, size, scale, label=many and number != 0)
    y = high * scale + MARGIN + 12
    for each in shown:
        parts.append(text(each.words, x=0, y=y, style=_FINE if many else _TOLD))
        y += 16
    return "".join(parts), wide * scale, y


def paper(size: tuple[int, int], scale: float, image: Array | None) -> str:
    """The image over its rectangle, or a grid of so many pixels as are told beside it."""
    high, wide = size[0] * scale, size[1] * scale
    if image is not None:
        source = html_attribute(data_uri(image, sharp=max(image.shape[:2]) <= 64))
        look = ' style="image-rendering:pixelated"' if max(image.shape[:2]) <= 64 else ""
        return (
            f'<image x="0" y="0" width="{wide:.1f}" height="{high:.1f}" '
            f'preserveAspectRatio="none"{look} href="{source}"/>'
        )
    parts = [element("rect", x=0, y=0, width=wide, height=high, fill="#f1f1ed")]
    step = grid_step(max(size))
    for k in range(step, size[1], step):
        at = k * scale
        parts.append(element("line", x1=at, x2=at, y1=0, y2=high, stroke="#dcdcd5"))
    for k in range(step, size[0], step):
        at = k * scale
        parts.append(element("line", x1=0, x2=wide, y1=at, y2=at, stroke="#dcdcd5"))
    told = say("a line every {step} pixels", step=step)
    parts.append(text(told, x=0, y=high + 14, style=_FINE))
    return "".join(parts)


def grid_step(side: int) -> int:
    """A power of two that divides `side` into 5 to 10 cells.

    >>> grid_step(224), grid_step(32)
    (32, 4)
    """
    step = 1
    while side / step > 10:
        step *= 2
    return step


def outline(each: Seen, size: tuple[int, int], scale: float, *, label: bool = False) -> list[str]:
    """The rectangle of a field; the part in padding dashed."""
    left, top = each.columns[0] * scale, each.rows[0] * scale
    wide = (each.columns[1] - each.columns[0] + 1) * scale
    high = (each.rows[1] - each.rows[0] + 1) * scale
    inside = [
        min(max(value, 0.0), bound * scale)
        for value, bound in ((left, size[1]), (top, size[0]), (left + wide, size[1]),
                             (top + high, size[0]))
    ]  # fmt: skip
    parts = []
    outside = each.columns[0] < 0 or each.rows[0] < 0
    outside = outside or each.columns[1] >= size[1] or each.rows[1] >= size[0]
    if outside and not label:
        from_x, from_y = max(left, -MARGIN), max(top, -MARGIN)
        to_x = min(left + wide, size[1] * scale + MARGIN)
        to_y = min(top + high, size[0] * scale + MARGIN)
        parts.append(
            element("rect", x=from_x, y=from_y, width=to_x - from_x, height=to_y - from_y,
                    fill="none", stroke=_MARK, stroke_width=1, stroke_dasharray="3 4")
        )  # fmt: skip
    parts.append(
        element(
            "rect",
            x=inside[0],
            y=inside[1],
            width=max(1.0, inside[2] - inside[0]),
            height=max(1.0, inside[3] - inside[1]),
            fill="none" if label else _MARK,
            fill_opacity=0 if label else 0.16,
            stroke=_MARK if not label else _OTHER,
            stroke_width=2 if not label else 1.2,
        )
    )
    if label and inside[2] - inside[0] > _LEAST_LABEL:
        parts.append(text(each.layer, x=inside[0] + 4, y=inside[1] + 12, style=_NAME))
    return parts
