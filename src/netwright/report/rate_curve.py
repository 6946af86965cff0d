"""The curve of a learning-rate range test: loss over the rate, and where the rules read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from netwright.core.languages import say
from netwright.report.axes import Axis, linear, logarithmic
from netwright.report.drawing import Drawing, standalone
from netwright.report.svg import element, fitted, point, text, text_width
from netwright.report.words import digits

WIDTH, HEIGHT = 620.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 20.0, 44.0, 48.0


def rate_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    *,
    smoothed: Sequence[float] = (),
    readings: Mapping[str, float] | None = None,
    suggestion: float | None = None,
    optimizer: str = "",
    about: str = "",
) -> Drawing:
    """The losses as dots over a logarithmic axis of rates, `smoothed` as a line through them.

    `readings` are marked by dotted lines with their names, `suggestion` by a whole one. A loss
    that has left the picture at the top is drawn at its edge; one that is not finite is not.
    """
    finite = [(x, y) for x, y in zip(rates, losses, strict=True) if math.isfinite(y)]
    marked = [*(readings or {}).values(), *([] if suggestion is None else [suggestion])]
    across_axis = logarithmic([*rates, *marked])
    high = _ceiling([y for _, y in finite])
    up_axis = linear([min(y, high) for _, y in finite] or [0.0, 1.0])

    def across(rate: float) -> float:
        return _LEFT + across_axis.place(rate) * (WIDTH - _LEFT - _RIGHT)

    def up(loss: float) -> float:
        share = min(1.0, max(0.0, up_axis.place(loss)))
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)

    places = [(across(x), up(y)) for x, y in finite]
    line = [(across(x), up(y)) for x, y in zip(rates, smoothed, strict=False)]
    parts = [_grid(across_axis, up_axis, across, up)]
    parts += [element("circle", cx=x, cy=y, r=2, class_="dot train") for x, y in places]
    if len(line) > 1:
        path = "M" + "L".join(f"{point(x)} {point(y)}" for x, y in line)
        parts.append(element("path", d=path, class_="line train"))
    title = say("Learning-rate range test") + (f" · {optimizer}" if optimizer else "")
    parts.append(text(fitted(title, 300, 14), x=_LEFT, y=24, class_="over"))
    if suggestion is not None:
        parts.append(_suggested(suggestion, across))
    parts += _readings(readings or {}, across)
    return standalone(WIDTH, HEIGHT, "".join(parts), title=title, about=about)


def _ceiling(losses: Sequence[float]) -> float:
    """The highest loss with room in the picture: one that blows up would flatten all the rest."""
    if not losses:
        return 1.0
    lowest = min(range(len(losses)), key=lambda k: losses[k])
    before = max(losses[: lowest + 1])
    fall = before - losses[lowest]
    return before + 0.6 * (fall if fall > 0 else abs(before) or 1.0)


def _grid(
    across_axis: Axis,
    up_axis: Axis,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> str:
    floor = HEIGHT - _BOTTOM
    parts = []
    for value, label in up_axis.ticks:
        y = up(value)
        parts.append(element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="rule"))
        parts.append(text(label, x=_LEFT - 8, y=y + 4, class_="tick end"))
    for value, label in across_axis.ticks:
        x = across(value)
        parts.append(element("line", x1=x, x2=x, y1=floor, y2=floor + 4, class_="rule"))
        parts.append(text(label, x=x, y=floor + 18, class_="tick middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    below = say("learning rate, logarithmic")
    parts.append(text(below, x=middle, y=floor + 38, class_="tick middle"))
    parts.append(text(say("Loss"), x=_LEFT - 8, y=_TOP - 14, class_="tick end"))
    return "".join(parts)


def _readings(readings: Mapping[str, float], across: Callable[[float], float]) -> list[str]:
    """Each on a row of its own, for the rules may name rates that lie close together; low and to
    the left of its line, where a loss that falls leaves room."""
    parts = []
    for row, (name, rate) in enumerate(readings.items()):
        x, y = across(rate), HEIGHT - _BOTTOM - 44 + 15 * row
        label = f"{_rule(name)} {digits(rate, 2)}"
        to_left = x - 6 - text_width(label) > _LEFT
        place = "tick read end" if to_left else "tick read"
        ends = {"x1": x, "x2": x, "y1": _TOP, "y2": HEIGHT - _BOTTOM}
        parts.append(element("line", **ends, class_="pin"))
        parts.append(text(label, x=x - 6 if to_left else x + 6, y=y, class_=place))
    return parts


def _rule(name: str) -> str:
    words = {
        "steepest": say("steepest"),
        "middle": say("half-way"),
        "blow-up": say("a tenth of the blow-up"),
    }
    return words.get(name, name)


def _suggested(rate: float, across: Callable[[float], float]) -> str:
    x = across(rate)
    label = say("suggested {rate}", rate=digits(rate, 2))
    half = text_width(label) / 2
    centre = min(max(x, _LEFT + half), WIDTH - _RIGHT - half)
    line = element("line", x1=x, x2=x, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="line val")
    return line + text(label, x=centre, y=_TOP - 6, class_="label val middle")
