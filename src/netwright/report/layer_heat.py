"""Layers over time as a heat map: one row a layer, one column a step that was looked at closely.

Colours are those of cividis (Nunez, Anderton & Renslow 2018), which every kind of colour vision
reads alike and which stand on light and dark paper; what was not measured is left open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.report.pictures import data_uri
from netwright.report.svg import drawing, element, fitted, text, text_width
from netwright.report.words import digits, percent

WIDTH = 1040.0
_LEFT, _RIGHT = 190.0, 96.0
_TOP, _BOTTOM = 34.0, 30.0

_STOPS = (
    (0, 34, 78), (26, 56, 111), (67, 78, 108), (97, 101, 111), (125, 124, 120), (155, 148, 119),
    (187, 173, 108), (221, 201, 86), (254, 232, 56),
)  # fmt: skip

MOST_NAMED = 60
"""Layers up to which each row has its name."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The findings of one step; `rows` are the numbers of the rows they are about, `tip` what is
    shown of them where the mouse rests."""

    step: float
    names: tuple[str, ...]
    tip: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From which value to which the colours run, by powers of ten or evenly."""

    low: float
    high: float
    log: bool

    def places(self, values: Array) -> Array:
        """Where values lie, 0 to 1; NaN stays."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = np.log10(values) if self.log else values
        low, high = (math.log10(v) if self.log else v for v in (self.low, self.high))
        placed: Array = np.clip((shown - low) / (high - low), 0.0, 1.0)
        placed[np.isnan(values)] = np.nan
        return placed

    def label(self, value: float) -> str:
        return (
            f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
            if self.log
            else percent(value, 0)
        )


def scale_of(values: Array, *, share: bool = False) -> Scale | None:
    """The scale that shows `values`: all but the outermost fiftieth of them, at least one power
    of ten; None where there is nothing to show."""
    if share:
        return Scale(low=0.0, high=1.0, log=False) if np.isfinite(values).any() else None
    known = values[np.isfinite(values) & (values > 0)]
    if not len(known):
        return None
    low, high = np.quantile(np.log10(known), [0.02, 0.98])
    first, last = math.floor(low), math.ceil(high)
    return Scale(low=10.0**first, high=10.0 ** max(last, first + 1), log=True)


def layer_heat(
    values: Array,
    names: Sequence[str],
    steps: Sequence[float],
    scale: Scale,
    *,
    title: str,
    about: str,
    pins: Sequence[Pin] = (),
) -> str:
    """SVG of `values`, (steps, layers); `pins` stand at the step they belong to."""
    count = len(names)
    row = min(22.0, max(4.0, 420.0 / count))
    height = row * count
    left, right = _LEFT, WIDTH - _RIGHT
    column = (right - left) / len(steps)

    def across(step: float) -> float:
        """The middle of the column that shows `step`."""
        place = int(np.searchsorted(np.asarray(steps), step))
        return left + (min(place, len(steps) - 1) + 0.5) * column

    parts = [
        element("rect", x=left, y=_TOP, width=right - left, height=height, class_="empty"),
        element(
            "image",
            href=data_uri(_colours(scale.places(values.T))),
            x=left,
            y=_TOP,
            width=right - left,
            height=height,
            class_="pixels",
            preserveAspectRatio="none",
        ),
        _names(names, row),
        _steps(steps, left, column, _TOP + height),
        _legend(scale, height, right),
    ]
    taken = 0.0
    for pin in sorted(pins, key=lambda each: each.step)[:12]:
        x = across(pin.step)
        label, taken = _pin_label(pin, x, taken, right)
        parts.append(_pin(pin, x, height, row, left, right) + label)
    whole = _TOP + height + _BOTTOM
    return drawing(WIDTH, whole, "".join(parts), title=title, about=about)


def _colours(places: Array) -> Array:
    """(rows, columns, 4) uint8 of values from 0 to 1; NaN is open."""
    stops = np.asarray(_STOPS, dtype=np.float64)
    known = np.nan_to_num(places) * (len(stops) - 1)
    image = np.zeros((*places.shape, 4), dtype=np.uint8)
    for channel in range(3):
        image[..., channel] = np.rint(
            np.interp(known, np.arange(len(stops)), stops[:, channel])
        ).astype(np.uint8)
    image[..., 3] = np.where(np.isnan(places), 0, 255)
    image[image[..., 3] == 0] = 0
    return image


def _names(names: Sequence[str], row: float) -> str:
    every = max(1, math.ceil(11.0 / row))
    size = min(11.5, max(8.0, row * every * 0.8))
    return "".join(
        text(
            fitted(name or say("the network"), _LEFT - 12, size),
            x=_LEFT - 8,
            y=_TOP + (i + 0.5) * row + size * 0.35,
            class_="tick end",
            font_size=size,
        )
        for i, name in enumerate(names)
        if i % every == 0
    )


def _steps(steps: Sequence[float], left: float, column: float, bottom: float) -> str:
    """Labels under as many columns as there is room for, the first and the last among them."""
    room = max(text_width(f"{steps[-1]:,.0f}") + 18, 46.0)
    every = max(1, math.ceil(room / column))
    shown = [*range(0, len(steps) - every, every), len(steps) - 1]
    parts = [
        text(f"{steps[i]:,.0f}", x=left + (i + 0.5) * column, y=bottom + 16, class_="tick middle")
        for i in dict.fromkeys(shown)
    ]
    parts.append(text(say("step"), x=left - 8, y=bottom + 16, class_="tick end"))
    return "".join(parts)


def _legend(scale: Scale, height: float, right: float) -> str:
    tall = min(height, 150.0)
    x, wide = right + 22, 12.0
    ramp = np.linspace(1.0, 0.0, 64).reshape(-1, 1)
    parts = [
        element(
            "image",
            href=data_uri(_colours(ramp)),
            x=x,
            y=_TOP,
            width=wide,
            height=tall,
            preserveAspectRatio="none",
        )
    ]
    for value, y in ((scale.high, _TOP + 9), (scale.low, _TOP + tall)):
        parts.append(text(scale.label(value), x=x + wide + 6, y=y, class_="tick"))
    return "".join(parts)


def _pin(pin: Pin, x: float, height: float, row: float, left: float, right: float) -> str:
    """A line through all rows at its step, and a frame round the rows it is about."""
    tip = f"<title>{html_text(f'{pin.tip}, {digits(pin.step)}')}</title>"
    line = element("line", x1=x, x2=x, y1=_TOP - 6, y2=_TOP + height, class_="marked")
    frames = [
        element(
            "rect",
            x=left,
            y=_TOP + i * row,
            width=right - left,
            height=row,
            class_="framed",
            rx=1.5,
        )
        for i in pin.rows
    ]
    return f"<g>{tip}{line}{''.join(frames)}</g>"


def _pin_label(pin: Pin, x: float, taken: float, right: float) -> tuple[str, float]:
    """The names above a line, and how far the letters reach by then. Up to `taken` there are some:
    where no room is left a mark stands for the names, or nothing above those that are there."""
    label, shown = ", ".join(pin.names), len(pin.names)
    while shown > 1 and text_width(label) > right - _LEFT:
        shown -= 1
        label = f"{', '.join(pin.names[:shown])} +{len(pin.names) - shown}"
    half = 1.06 * text_width(label) / 2  # they are bold
    centre = min(max(x, _LEFT + half), right - half)
    if centre - half >= taken:
        return text(label, x=centre, y=_TOP - 12, class_="label middle"), centre + half + 14
    mark = text("▾", x=x, y=_TOP - 6, class_="tick middle") if x > taken else ""
    return mark, max(taken, x + 8) if mark else taken
