"""Bars inside the cells of a table: the length is seen, the number beside it is read."""

from __future__ import annotations

from netwright.report.svg import point


def bar(share: float, tone: str) -> str:
    """A bar that fills this share of its cell, in a colour of the style sheet.

    It is hidden from screen readers: the number stands in the table. It is an SVG and not a
    coloured box because browsers leave the backgrounds of boxes out when they print.
    """
    length = point(100 * min(1.0, max(0.0, share)))
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="{tone}" d="M0 0h{length}v8H0z"/></svg>'
    )
