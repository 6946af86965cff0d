"""Line charts: values over epochs, labelled where the lines end, gaps left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwright.report.axes import Axis, counting_ticks
from netwright.report.svg import drawing, element, fitted, point, text, text_width

WIDTH, HEIGHT = 440.0, 262.0
_TOP, _BOTTOM = 26.0, 34.0

# More points than screen pixels show nothing more.
_MOST_POINTS = 360


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve of (x, value), None where nothing finite was measured. `tone` is its colour: a
    class of the style sheet."""

    name: str
    tone: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Band:
    """What lies between two curves: (x, low, high). `tone` as of the line in it."""

    tone: str
    points: Sequence[tuple[float, float, float]]


def line_chart(
    lines: Sequence[Line],
    axis: Axis,
    *,
    title: str,
    about: str,
    below: str,
    show: Callable[[float], str],
    pin: tuple[float, str] | None = None,
    bands: Sequence[Band] = (),
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """The chart as SVG. `below` names the x axis, `show` writes the last value of each line,
    `pin` is a marked x with its label, `bands` lie behind the lines; `marks` are further places,
    each with a short label at the foot of the chart."""
    lines = [_thinned(line) for line in lines]
    places = [x for line in lines for x, _ in line.points]
    first, last = min(places), max(places)
    ticks = [tick for tick in counting_ticks(int(first), int(last)) if first <= tick <= last]
    if first == last:  # room on both sides, where there is no epoch to be named
        first, last = first - 1, last + 1
    ends = [_end(line) for line in lines]
    labels = [f"{line.name} {show(end[1])}" for line, end in zip(lines, ends, strict=True)]
    left = 14 + max((text_width(label) for _, label in axis.ticks), default=20)
    right = WIDTH - 10 - max(1.1 * text_width(label) for label in [*labels, f"{below}99"])

    def across(x: float) -> float:
        return left + (x - first) / (last - first) * (right - left)

    def up(value: float) -> float:
        share = min(1.0, max(0.0, axis.place(value)))
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)

    parts = [_grid(axis, up, left, right)]
    parts += [_below(ticks, across, below, right)]
    if pin is not None and first <= pin[0] <= last:
        parts.append(_pin(pin, across, left, right))
    parts += [_mark(label, across(min(max(x, first), last))) for x, label in marks]
    parts += [_area(band, across, up) for band in bands]
    parts += [_curve(line, across, up) for line in lines]
    if pin is not None:
        parts += [_ring(pin[0], line, across(pin[0]), up) for line in lines]
    heights = _apart([up(end[1]) for end in ends], least=15, low=_TOP, high=HEIGHT - _BOTTOM)
    parts += [
        text(label, x=right + 7, y=y + 4, class_=f"label {line.tone}")
        for label, line, y in zip(labels, lines, heights, strict=True)
    ]
    return drawing(WIDTH, HEIGHT, "".join(parts), title=title, about=about)


def _grid(axis: Axis, up: Callable[[float], float], left: float, right: float) -> str:
    rules = []
    for value, label in axis.ticks:
        y = up(value)
        rules.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="rule"))
        rules.append(text(label, x=left - 7, y=y + 4, class_="tick end"))
    return "".join(rules)


def _below(ticks: Sequence[int], across: Callable[[float], float], name: str, right: float) -> str:
    y = HEIGHT - _BOTTOM + 17
    parts = [text(f"{tick:,}", x=across(tick), y=y, class_="tick middle") for tick in ticks]
    # Behind the last tick, which may stand at the very end of the axis.
    behind = across(ticks[-1]) + text_width(f"{ticks[-1]:,}") / 2 if ticks else right
    parts.append(text(name, x=max(right, behind) + 7, y=y, class_="tick"))
    return "".join(parts)


def _pin(
    pin: tuple[float, str], across: Callable[[float], float], left: float, right: float
) -> str:
    x = across(pin[0])
    label = fitted(pin[1], right - left)
    half = text_width(label) / 2
    centre = min(max(x, left + half), max(right - half, left + half))
    rule = element("line", x1=x, x2=x, y1=_TOP - 6, y2=HEIGHT - _BOTTOM, class_="pin")
    return rule + text(label, x=centre, y=_TOP - 11, class_="label middle")


def _mark(label: str, x: float) -> str:
    """A short stroke on the x axis, and its label above it."""
    foot = HEIGHT - _BOTTOM
    rule = element("line", x1=x, x2=x, y1=foot - 14, y2=foot, class_="mark")
    return rule + text(label, x=x + 4, y=foot - 5, class_="tick")


def _ring(pin: float, line: Line, x: float, up: Callable[[float], float]) -> str:
    """An open ring where the marked x meets the validation curve, which chose it."""
    met = [value for place, value in line.points if place == pin and value is not None]
    if line.tone != "val" or not met:
        return ""
    return element("circle", cx=x, cy=up(met[0]), r=4, class_="ring val")


def _curve(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    """One path; a point alone between two gaps, which no path would show, is a dot."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, value in line.points:
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((across(x), up(value)))
    parts = []
    path = "".join(
        "M" + "L".join(f"{point(x)} {point(y)}" for x, y in stretch)
        for stretch in stretches
        if len(stretch) > 1
    )
    if path:
        kind = f"line {line.tone}" + (" dashed" if line.dashed else "")
        parts.append(element("path", d=path, class_=kind))
    lone = [stretch[0] for stretch in stretches if len(stretch) == 1]
    parts += [element("circle", cx=x, cy=y, r=3, class_=f"dot {line.tone}") for x, y in lone]
    drawn = [each for stretch in stretches for each in stretch]
    parts.append(
        element("circle", cx=drawn[-1][0], cy=drawn[-1][1], r=3, class_=f"dot {line.tone}")
    )
    return "".join(parts)


def _area(band: Band, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    """The band as one closed path: along its upper edge, and back along the lower one."""
    every = max(1, -(-len(band.points) // _MOST_POINTS))
    groups = [band.points[i : i + every] for i in range(0, len(band.points), every)]
    # The outermost of several points that fall together, so that no seed leaves its band.
    points = [(each[0][0], min(p[1] for p in each), max(p[2] for p in each)) for each in groups]
    if every > 1:
        points.append((band.points[-1][0], *points[-1][1:]))
    edge = [f"{point(across(x))} {point(up(high))}" for x, _, high in points]
    edge += [f"{point(across(x))} {point(up(low))}" for x, low, _ in reversed(points)]
    return element("path", d="M" + "L".join(edge) + "Z", class_=f"band {band.tone}")


def _end(line: Line) -> tuple[float, float]:
    """The last finite point."""
    return next((x, value) for x, value in reversed(line.points) if value is not None)


def _thinned(line: Line) -> Line:
    """At most `_MOST_POINTS` points: of each stretch the lowest and the highest, and its gaps."""
    points = list(line.points)
    if len(points) <= _MOST_POINTS:
        return line
    width = -(-2 * len(points) // _MOST_POINTS)
    kept: list[tuple[float, float | None]] = [points[0]]
    for start in range(0, len(points), width):
        part = points[start : start + width]
        finite = [(value, x) for x, value in part if value is not None]
        if not finite:
            kept.append(part[0])
            continue
        for value, x in sorted({min(finite), max(finite)}, key=lambda pair: pair[1]):
            kept.append((x, value))
    kept.append(points[-1])
    return Line(name=line.name, tone=line.tone, points=kept, dashed=line.dashed)


def _apart(wanted: Sequence[float], *, least: float, low: float, high: float) -> list[float]:
    """Heights near the wanted ones that are at least so far apart, in the same order.

    >>> _apart([50, 52], least=10, low=0, high=100)
    [46.0, 56.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [float(wanted[i]) for i in order]
    for _ in range(40):  # neighbours push each other until nobody is too close
        for i in range(len(placed) - 1):
            lacking = least - (placed[i + 1] - placed[i])
            if lacking > 1e-9:
                placed[i] -= lacking / 2
                placed[i + 1] += lacking / 2
        if placed and placed[0] < low:
            placed = [max(y, low + least * i) for i, y in enumerate(placed)]
        if placed and placed[-1] > high:
            top = len(placed) - 1
            placed = [min(y, high - least * (top - i)) for i, y in enumerate(placed)]
    result = [0.0] * len(placed)
    for place, i in enumerate(order):
        result[i] = placed[place]
    return result
