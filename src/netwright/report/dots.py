"""Dot charts: one dot for each value, those that would cover each other piled up."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from netwright.report.axes import linear
from netwright.report.svg import drawing, element, text
from netwright.report.words import percent

_WIDTH, _HEIGHT = 440.0, 104.0
_LEFT, _RIGHT, _BOTTOM = 22.0, 22.0, 26.0
_RADIUS = 5.0


def dot_chart(
    values: Sequence[float], scale: Sequence[float], *, tone: str, title: str, about: str
) -> str:
    """SVG of shares from 0 to 1, their median marked, on an axis that holds all of `scale`.

    `tone` is a class of the style sheet; `about` says in words what is seen.
    """
    axis = linear(scale)
    floor = _HEIGHT - _BOTTOM

    def across(value: float) -> float:
        share = min(1.0, max(0.0, axis.place(value)))
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    ticks = [tick for tick, _ in axis.ticks if 0 <= tick <= 1]
    fine = any(abs(1000 * tick - round(1000 * tick)) > 1e-6 for tick in ticks)
    parts = []
    for tick in ticks:
        x = across(tick)
        label = percent(tick, 2 if fine else 1)
        parts.append(element("line", x1=x, x2=x, y1=4.0, y2=floor, class_="rule"))
        parts.append(text(label, x=x, y=floor + 17, class_="tick middle"))
    x, middle = across(statistics.median(values)), (4 + floor) / 2
    parts.append(element("line", x1=x, x2=x, y1=4.0, y2=floor, class_=f"median {tone}"))
    parts += [
        element("circle", cx=place, cy=y, r=_RADIUS, class_=f"seed {tone}")
        for place, y in _piled([across(value) for value in sorted(values)], middle)
    ]
    return drawing(_WIDTH, _HEIGHT, "".join(parts), title=title, about=about)


def _piled(places: Sequence[float], middle: float) -> list[tuple[float, float]]:
    """Where each dot goes: piles grow from the middle to both sides, and stay in the chart.

    >>> _piled([20.0, 21.0, 60.0], 40.0)
    [(20.0, 40.0), (21.0, 51.0), (60.0, 40.0)]
    """
    piles: dict[int, int] = {}
    found = []
    for place in places:
        column = round(place / (2 * _RADIUS))
        rank = piles.get(column, 0)
        piles[column] = rank + 1
        side = (rank + 1) // 2 * (1 if rank % 2 else -1)
        # A seventh dot and more lie over the others: the pile is full.
        y = middle + max(-3, min(3, side)) * (2 * _RADIUS + 1)
        found.append((place, y))
    return found
