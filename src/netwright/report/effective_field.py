"""The effective receptive field as a picture: a heat map over the image, and two outlines.

The dashed square is the theoretical field, what the unit could see; the ellipse, two standard
deviations each way, is where most of what it does see lies.
"""

from __future__ import annotations

import numpy as np

from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.effective_field import EffectiveField
from netwright.report.pictures import data_uri
from netwright.report.svg import drawing, element, fitted, text
from netwright.report.words import percent

_SIDE = 360.0
_MARGIN = 40.0
_LINE = 16.0

# Orange on blue, as on every page; drawn here, since the picture also stands alone.
_SQUARE, _DISC = "#d55e00", "#0068ab"
_NAME = "font-size:12px;fill:#1a1d21;font-weight:600"
_TOLD = "font-size:11.5px;fill:#5b626b"
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans CJK SC',sans-serif"

# From nothing to the most: white, blue, nearly black.
_SCALE = np.array([[252, 252, 250], [158, 202, 225], [49, 130, 189], [8, 48, 107], [6, 20, 45]])


def effective_field_picture(field: EffectiveField) -> str:
    """A whole SVG of `field`: also a file of its own."""
    height, width = field.mass.shape
    scale = _SIDE / max(height, width)
    wide, high = width * scale, height * scale
    parts = [
        element(
            "rect",
            x=_MARGIN,
            y=_MARGIN,
            width=wide,
            height=high,
            style="fill:#fcfcfa;stroke:#c8ccd0",
        ),
        element(
            "image",
            href=data_uri(heat(field.mass)),
            x=_MARGIN,
            y=_MARGIN,
            width=wide,
            height=high,
            style="image-rendering:pixelated",
            preserveAspectRatio="none",
        ),
        _theoretical(field, scale),
        _disc(field, scale),
    ]
    told = [fitted(line, wide + _MARGIN, 11.5) for line in words(field)]
    for place, line in enumerate(told):
        y = _MARGIN + high + _MARGIN + place * _LINE
        parts.append(text(line, x=_MARGIN, y=y, style=_TOLD if place else _NAME))
    bottom = 2 * _MARGIN + high + len(told) * _LINE
    svg = drawing(
        wide + 2 * _MARGIN,
        bottom,
        f'<g style="{_FONT}">{"".join(parts)}</g>',
        title=told[0],
        about=" ".join(told),
    )
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def heat(mass: Array) -> Array:
    """(H, W, 3) uint8. The root of the mass, so that the faint slopes of the bell are seen."""
    strength = np.sqrt(mass / max(float(mass.max()), 1e-300))
    at = strength * (len(_SCALE) - 1)
    low = np.minimum(at.astype(np.int64), len(_SCALE) - 2)
    part = (at - low)[:, :, None]
    pixels: Array = np.rint(_SCALE[low] * (1 - part) + _SCALE[low + 1] * part).astype(np.uint8)
    return pixels


def words(field: EffectiveField) -> list[str]:
    """What the picture shows, line by line: the unit, the theoretical field, what was measured."""
    down, across = field.sigma
    lines = [
        say(
            "{layer}, unit ({row}, {column}), over {images} images",
            layer=field.layer or field.kind,
            row=field.unit[0],
            column=field.unit[1],
            images=field.images,
        )
    ]
    if field.rows is not None and field.columns is not None and field.area_share is not None:
        lines.append(
            say(
                "dashed: the theoretical field, {height}x{width} pixels",
                height=field.rows[1] - field.rows[0] + 1,
                width=field.columns[1] - field.columns[0] + 1,
            )
        )
        lines.append(
            say(
                "95 % of the influence: {pixels} pixels, {share} of it",
                pixels=f"{field.pixels():,}",
                share=percent(field.area_share),
            )
        )
    else:
        lines.append(say("95 % of the influence: {pixels} pixels", pixels=f"{field.pixels():,}"))
    lines.append(
        say(
            "ellipse: two standard deviations, {down}x{across} pixels",
            down=f"{2 * down:.1f}",
            across=f"{2 * across:.1f}",
        )
    )
    return lines


def _theoretical(field: EffectiveField, scale: float) -> str:
    """The square of the theoretical field; what lies far outside the image is not drawn."""
    if field.rows is None or field.columns is None:
        return ""
    height, width = field.mass.shape
    beyond = _MARGIN * 0.8
    left, right = (_on(edge, width, scale, beyond) for edge in _edges(field.columns))
    top, bottom = (_on(edge, height, scale, beyond) for edge in _edges(field.rows))
    return element(
        "rect",
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        style=f"fill:none;stroke:{_SQUARE};stroke-width:1.6;stroke-dasharray:5 4",
    )


def _edges(side: tuple[int, int]) -> tuple[int, int]:
    return side[0], side[1] + 1


def _on(edge: int, length: int, scale: float, beyond: float) -> float:
    return _MARGIN + min(max(edge * scale, -beyond), length * scale + beyond)


def _disc(field: EffectiveField, scale: float) -> str:
    (row, column), (down, across) = field.centre, field.sigma
    return element(
        "ellipse",
        cx=_MARGIN + (column + 0.5) * scale,
        cy=_MARGIN + (row + 0.5) * scale,
        rx=2 * across * scale,
        ry=2 * down * scale,
        style=f"fill:none;stroke:{_DISC};stroke-width:1.6",
    )
