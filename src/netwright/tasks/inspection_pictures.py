"""The picture of an inspection: its graph, and what a unit sees on an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.arithmetic.fields import TensorField
from netwright.core.atomic import write_text
from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.effective_field import EffectiveField
from netwright.records.initial_state import InitialState
from netwright.records.inspection import InspectedLayer, InspectionRecord
from netwright.report.drawing import Drawing, standalone
from netwright.report.effective_field import effective_field_picture
from netwright.report.field_page import field_page
from netwright.report.field_picture import (
    MARGIN,
    Exact,
    Seen,
    field_picture,
    image_axes,
    image_size,
    map_size,
    seen,
)
from netwright.report.field_reasons import reason
from netwright.report.field_tables import Call
from netwright.report.graph_picture import about_graph, graph_picture
from netwright.report.initial_state import initial_states_picture
from netwright.report.layer_lines import lines
from netwright.report.svg import text
from netwright.tasks.input_pixels import input_pixels

_MARGIN, _BETWEEN = 28.0, 48.0
_NESTED = 6


def draw(
    record: InspectionRecord,
    path: str | Path | None = None,
    *,
    layer: str | None = None,
    unit: tuple[int, int] | None = None,
    image: Any = None,
    sights: Callable[[], Sequence[TensorField | None]] | None = None,
) -> Drawing:
    """The graph at the left, the image with the field at the right; written to `path` if given.

    `sights` gives what every unit of each call of a layer sees, by another pass: asked for where
    a layer is drawn unit by unit. Without it a layer whose field varies is not drawn.
    """
    place = Path(path) if path is not None else None
    if place is not None and place.suffix.lower() not in (".svg", ".html"):
        raise SettingError(
            "{path}: a picture of a network is an .svg file, or an .html page.",
            hint="Expected a name such as {example}.",
            path=str(place),
            example=str(place.with_suffix(".svg")),
        )
    pixels = input_pixels(image, record) if image is not None else None
    page = place is not None and place.suffix.lower() == ".html"
    exact = _exact(record, sights() if sights is not None and (page or layer is not None) else ())
    shown = _one(record, layer, unit, exact) if layer is not None else _several(record)
    if layer is None and unit is not None:
        raise SettingError("A unit is one of a layer: say which.", hint="Give layer=NAME.")
    drawing = _drawing(record, shown, marked=layer, pixels=pixels)
    if place is not None and page:
        content, wide, high = graph_picture(record, marked=layer)
        first = next((each.layer for each in reversed(shown)), None)
        write_text(
            place,
            field_page(
                record,
                graph=(content, wide, high),
                image=pixels,
                layer=layer or first,
                unit=unit,
                exact=exact,
            ),
        )
    elif place is not None:
        drawing.save(place)
    return drawing


def draw_starts(states: Sequence[InitialState], path: str | Path | None = None) -> Drawing:
    """Histograms, signals and gradients of each start; written to `path` if given."""
    place = Path(path) if path is not None else None
    if place is not None and place.suffix.lower() != ".svg":
        raise SettingError(
            "{path}: the picture of a start is an .svg file.",
            hint="Expected a name such as {example}.",
            path=str(place),
            example=str(place.with_suffix(".svg")),
        )
    drawing = initial_states_picture(states)
    if place is not None:
        drawing.save(place)
    return drawing


def draw_effective(field: EffectiveField, path: str | Path | None = None) -> Drawing:
    """The gradients of one unit over the image, the theoretical field round them; written to
    `path` if given."""
    place = Path(path) if path is not None else None
    if place is not None and place.suffix.lower() != ".svg":
        raise SettingError(
            "{path}: the picture of an effective field is an .svg file.",
            hint="Expected a name such as {example}.",
            path=str(place),
            example=str(place.with_suffix(".svg")),
        )
    drawing = Drawing(effective_field_picture(field))
    if place is not None:
        drawing.save(place)
    return drawing


def _drawing(
    record: InspectionRecord, shown: list[Seen], *, marked: str | None, pixels: Array | None
) -> Drawing:
    left, wide, high = graph_picture(record, marked=marked)
    right, field_wide, field_high = field_picture(record, shown, image=pixels)
    top = 40.0
    title = record.model or record.kind
    parts = [text(title, x=_MARGIN, y=26, class_="over")]
    parts.append(f'<g transform="translate({_MARGIN:g} {top:g})">{left}</g>')
    width = 2 * _MARGIN + wide
    if right:
        x = _MARGIN + wide + _BETWEEN + MARGIN
        parts.append(f'<g transform="translate({x:.1f} {top + MARGIN:g})">{right}</g>')
        width = x + max(field_wide, 380.0) + MARGIN + _MARGIN
        field_high += MARGIN
    height = top + max(high, field_high) + _MARGIN
    told = " ".join([about_graph(record), *(each.words for each in shown[:1])])
    return standalone(
        width, height, "".join(parts), title=say("Network {model}", model=title), about=told
    )


def _exact(record: InspectionRecord, sights: Sequence[TensorField | None]) -> dict[Call, Exact]:
    """The rows and the columns of each unit of the layers that put out a map."""
    axes = image_axes(record)
    if axes is None:
        return {}
    dims = record.spatial[axes[0]][1], record.spatial[axes[1]][1]
    found = {}
    for row, sight in zip(record.layers, sights, strict=False):
        if sight is None or map_size(row, record) is None:
            continue
        rows, columns = sight.rows(axes[0], dims), sight.rows(axes[1], dims)
        if rows is not None and columns is not None:
            found[row.name, row.call] = rows, columns
    return found


def _one(
    record: InspectionRecord,
    layer: str,
    unit: tuple[int, int] | None,
    exact: Mapping[Call, Exact],
) -> list[Seen]:
    row = _layer(record, layer)
    size = map_size(row, record)
    if (
        unit is not None
        and size is not None
        and not all(0 <= place < units for place, units in zip(unit, size, strict=True))
    ):
        raise SettingError(
            "{layer} has a map of {high}x{wide}; there is no unit ({row}, {column}).",
            layer=layer,
            high=size[0],
            wide=size[1],
            row=unit[0],
            column=unit[1],
        )
    own = exact.get((row.name, row.call))
    found = seen(row, record, unit, own)
    if found is None and unit is not None and seen(row, record, None, own) is not None:
        raise SettingError(
            "{layer}: unit ({row}, {column}) sees no pixel of the image.",
            layer=layer,
            row=unit[0],
            column=unit[1],
        )
    if found is None:
        why = next((each.why for each in row.fields if each.why), "-")
        raise SettingError(
            "What a unit of {layer} sees is no rectangle of the image: {why}",
            layer=layer,
            why=reason(why),
        )
    return [found]


def _several(record: InspectionRecord) -> list[Seen]:
    """The middle units of the layers of the table, largest field first, one of each size."""
    found: dict[tuple[int, int], Seen] = {}
    size = image_size(record)
    for line in lines(record):
        for row in line.layers[-1:]:
            each = seen(row, record)
            windowed = all(field.sight == "window" for field in row.fields)
            if each is None or size is None or not windowed:
                continue
            span = (each.rows[1] - each.rows[0], each.columns[1] - each.columns[0])
            if span[0] < size[0] and span[1] < size[1]:
                found[span] = each
    chosen: list[Seen] = []
    for span in sorted(found, reverse=True):  # each at most 3/4 of the one around it
        last = chosen[-1] if chosen else None
        if last is None or 4 * span[0] < 3 * (last.rows[1] - last.rows[0]):
            chosen.append(found[span])
    return chosen[:_NESTED]


def _layer(record: InspectionRecord, name: str) -> InspectedLayer:
    for row in record.layers:
        if row.name == name:
            return row
    raise UnknownNameError("layer", name, [row.name for row in record.layers if row.name])
