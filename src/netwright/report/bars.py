"""Bars inside the cells of a table: the length is seen, the number beside it is read."""

from __future__ import annotations

from netwright.report.svg import element


def bar(share: float, tone: str, *, mark: float | None = None) -> str:
    """A bar that fills this share of its cell; `mark` is a place to compare it with.

    It is hidden from screen readers: the number stands in the table. It is an SVG and not a
    coloured box because browsers leave the backgrounds of boxes out when they print.
    """
    length = 100 * min(1.0, max(0.0, share))
    parts = [
        element("rect", x=0, y=0, width=100, height=8, class_="empty"),
        element("rect", x=0, y=0, width=length, height=8, class_=tone),
    ]
    if mark is not None:
        parts.append(element("rect", x=100 * mark - 0.3, y=0, width=0.6, height=8, class_="mark"))
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        + "".join(parts)
        + "</svg>"
    )
