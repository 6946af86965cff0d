"""Dot charts: one dot for each value on a common scale, equal ones stacked, the median marked."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwright.core.languages import say
from netwright.report.axes import linear
from netwright.report.svg import drawing, element, text, text_width
from netwright.report.words import percent

_WIDTH = 920.0
_ROW = 64.0
_RADIUS = 5.0
_BOTTOM = 26.0


@dataclass(frozen=True, kw_only=True)
class Dots:
    """One row of dots: shares from 0 to 1. `tone` is a class of the style sheet."""

    name: str
    tone: str
    values: Sequence[float]


def dot_chart(rows: Sequence[Dots], *, title: str) -> str:
    """The chart as SVG: a row each, on one axis."""
    axis = linear([value for row in rows for value in row.values])
    left = 16 + max(text_width(row.name) for row in rows)
    labels = [_label(row) for row in rows]
    right = _WIDTH - 14 - 1.25 * max(text_width(label) for label in labels)
    height = _ROW * len(rows) + _BOTTOM

    def across(value: float) -> float:
        return left + min(1.0, max(0.0, axis.place(value))) * (right - left)

    parts = []
    fine = any(abs(1000 * tick - round(1000 * tick)) > 1e-6 for tick, _ in axis.ticks)
    places = 2 if fine else 1
    for tick, _ in axis.ticks:
        if 0 <= tick <= 1:
            x = across(tick)
            parts.append(element("line", x1=x, x2=x, y1=6.0, y2=height - _BOTTOM, class_="rule"))
            parts.append(text(percent(tick, places), x=x, y=height - 8, class_="tick middle"))
    for i, row in enumerate(rows):
        parts.append(_row(row, across, _ROW * (i + 0.5) + 4))
        y = _ROW * (i + 0.5) + 8
        parts.append(text(row.name, x=left - 12, y=y, class_=f"label end {row.tone}"))
        parts.append(text(labels[i], x=right + 14, y=y, class_=f"label {row.tone}"))
    about = "; ".join(f"{row.name}: {_label(row)}" for row in rows)
    return drawing(_WIDTH, height, "".join(parts), title=title, about=about)


def _label(row: Dots) -> str:
    return say("median {value}", value=percent(statistics.median(row.values), 2))


def _row(row: Dots, across: Callable[[float], float], middle: float) -> str:
    """The dots, those that would cover each other piled up from the middle to both sides."""
    parts = []
    x = across(statistics.median(row.values))
    parts.append(
        element("line", x1=x, x2=x, y1=middle - 24, y2=middle + 24, class_=f"median {row.tone}")
    )
    piles: dict[int, int] = {}
    for value in sorted(row.values):
        place = across(value)
        column = round(place / (2 * _RADIUS))
        rank = piles.get(column, 0)
        piles[column] = rank + 1
        side = (rank + 1) // 2 * (1 if rank % 2 else -1)
        # A high pile is pressed together rather than let out of its row.
        step = 2 * _RADIUS + 1 if rank < 5 else 2.0
        y = min(max(middle + side * step, middle - 26), middle + 26)
        parts.append(element("circle", cx=place, cy=y, r=_RADIUS, class_=f"seed {row.tone}"))
    return "".join(parts)
