"""The picture of a start: histograms, size of the signal and of the gradient, stage under stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from netwright.core.languages import say
from netwright.records.initial_state import MOST_FLAT, InitialState, StageState, Values
from netwright.report.axes import Axis, logarithmic
from netwright.report.drawing import Drawing, standalone
from netwright.report.initial_words import told
from netwright.report.svg import drawing, element, fitted, point, text, text_width
from netwright.report.words import NONE, digits, percent

WIDTH = 980.0
MOST_ROWS = 40
"""More stages than this are thinned out evenly; those with a fault stay."""

_NAME, _STRIP, _STD, _GRADIENT, _SHARE = 16.0, 196.0, 470.0, 676.0, 880.0
_STRIP_END, _STD_END, _GRADIENT_END, _END = 440.0, 640.0, 846.0, WIDTH - 16.0


def initial_state_picture(state: InitialState) -> Drawing:
    """The picture on paper of its own, for a file or a notebook."""
    width, height, content, title = _drawn(state)
    return standalone(width, height, content, title=title, about=" ".join(told(state)))


def initial_states_picture(states: Sequence[InitialState]) -> Drawing:
    """Several starts of one network, such as one for each initialiser, each under the other."""
    parts, height, titles, said = [], 0.0, [], []
    for state in states:
        _, high, content, title = _drawn(state)
        parts.append(f'<g transform="translate(0 {point(height)})">{content}</g>')
        height += high
        titles.append(title)
        said.append(" ".join([f"{title}:", *told(state)]))
    return standalone(WIDTH, height, "".join(parts), title=", ".join(titles), about=" ".join(said))


def initial_state_chart(state: InitialState) -> str:
    """The same as an SVG in the colours of the page it is put in: light, dark and print."""
    width, height, content, title = _drawn(state)
    return drawing(width, height, content, title=title, about=" ".join(told(state)))


def rows_of(state: InitialState, most: int = MOST_ROWS) -> list[StageState]:
    """The stages that are drawn: all, or the first, the last, those with a fault and, evenly, as
    many others as make `most`."""
    stages = state.stages
    if len(stages) <= most:
        return list(stages)
    evenly = {round(k * (len(stages) - 1) / (most - 1)) for k in range(most)}
    faulty = [i for i, each in enumerate(stages) if each.verdict not in ("steady", "waits")]
    some = faulty[:: max(1, -(-4 * len(faulty) // most))]
    room = most - len(some)
    evenly = {round(k * (len(stages) - 1) / (room - 1)) for k in range(room)}
    return [stages[i] for i in sorted(evenly | set(some))]


def _drawn(state: InitialState) -> tuple[float, float, str, str]:
    rows = rows_of(state)
    pitch = 26.0 if len(rows) <= 24 else 17.0
    names = (say("Initial state"), state.model or state.kind, state.initialiser, state.activation)
    title = " · ".join(each for each in names if each)
    lines = [line for each in told(state) for line in _wrapped(each, _END - _NAME)]
    top = 56 + 17 * len(lines) + 34
    floor = top + pitch * len(rows)
    parts = [text(fitted(title, _END - _NAME, 14), x=_NAME, y=28, class_="label", font_size=14)]
    tone = "" if state.verdict == "steady" else "val"
    parts += [
        text(line, x=_NAME, y=52 + 17 * k, class_=tone or "tick") for k, line in enumerate(lines)
    ]
    parts.append(_headings(state, rows, top))
    middles = [top + pitch * (k + 0.5) for k in range(len(rows))]
    scale = _scale(rows)
    for row, y in zip(rows, middles, strict=True):
        parts.append(_names(row, y))
        parts.append(_strip(row.signal, y + pitch * 0.42, pitch * 0.84, scale, row.verdict))
        parts.append(_shares(row, y))
    parts.append(_zero(top, floor, scale))
    columns: tuple[tuple[float, float, list[float | None]], ...] = (
        (_STD, _STD_END, [row.signal.std for row in rows]),
        (_GRADIENT, _GRADIENT_END, [row.gradient for row in rows]),
    )
    for left, right, numbers in columns:
        parts.append(_curve(left, right, numbers, middles, top, floor))
    if len(rows) < len(state.stages):
        below = say(
            "{shown} of {count} layers are shown.", shown=len(rows), count=len(state.stages)
        )
        parts.append(text(below, x=_NAME, y=floor + 18, class_="tick"))
    return WIDTH, floor + 34, "".join(parts), title


def _wrapped(line: str, width: float) -> list[str]:
    """A sentence on as many lines as it needs; Chinese may break anywhere."""
    parts = line.split(" ") if " " in line.strip() and line.isascii() else _pieces(line)
    between = " " if parts and line == " ".join(parts) else ""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines[-1] else part
        if lines[-1] and text_width(longer) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines


def _pieces(line: str) -> list[str]:
    """Words kept whole, and every wide character for itself."""
    found = [""]
    for char in line:
        if char == " " or ord(char) > 0x2E7F:
            found += [char, ""]
        else:
            found[-1] += char
    return [each for each in found if each]


def _headings(state: InitialState, rows: Sequence[StageState], top: float) -> str:
    y = top - 24
    steepest = any(row.squashes for row in rows)
    names = (
        (_NAME, say("Layer"), ""),
        (_STRIP, say("Signal"), ""),
        (_STD, say("Standard deviation"), ""),
        (_GRADIENT, say("Gradient norm"), ""),
        (_END, say("zero") + " / " + (say("saturated") if steepest else say("dead")), "end"),
    )
    return "".join(text(name, x=x, y=y, class_=f"label {end}") for x, name, end in names)


def _names(row: StageState, y: float) -> str:
    name = row.layer or "-"
    if row.call:
        name += f" ({row.call + 1})"
    kind = row.activation or row.norm or row.operation
    room = _STRIP - _NAME - 14 - text_width(kind, 10)
    tone = "" if row.verdict in ("steady", "waits") else "val"
    return text(fitted(name, room), x=_NAME, y=y + 4, class_=tone or "name") + text(
        kind, x=_STRIP - 10, y=y + 4, class_="tick end", font_size=10
    )


def _shares(row: StageState, y: float) -> str:
    second = row.saturated if row.squashes else row.dead
    bad = row.verdict in ("saturated", "dead") and (second or 0) > MOST_FLAT
    shown = f"{percent(row.signal.zeros, 0)} / {NONE if second is None else percent(second, 0)}"
    return text(shown, x=_END, y=y + 4, class_=("val" if bad else "tick") + " end")


def _scale(rows: Sequence[StageState]) -> float:
    """What half the strip's width stands for: the widest signal's reach, its outliers cut."""
    reach = [_reach(row.signal) for row in rows]
    return max((each for each in reach if math.isfinite(each)), default=1.0) or 1.0


def _reach(values: Values) -> float:
    if not math.isfinite(values.std):
        return 0.0
    return min(max(abs(values.low), abs(values.high)), abs(values.mean) + 4 * values.std)


def _place(value: float, scale: float) -> float:
    middle, half = (_STRIP + _STRIP_END) / 2, (_STRIP_END - _STRIP) / 2
    return middle + half * min(1.0, max(-1.0, value / scale))


def _strip(values: Values, floor: float, height: float, scale: float, verdict: str) -> str:
    """The bars as one path; each strip is as high as the others, whatever its density."""
    peak = max(values.bars, default=0.0)
    if not peak or not math.isfinite(values.std):
        return ""
    step = (values.high - values.low) / len(values.bars)
    path = f"M{point(_place(values.low, scale))} {point(floor)}"
    for k, share in enumerate(values.bars):
        y = floor - height * share / peak
        left, right = (_place(values.low + step * (k + d), scale) for d in (0, 1))
        path += f"L{point(left)} {point(y)}L{point(right)} {point(y)}"
    path += f"L{point(_place(values.high, scale))} {point(floor)}Z"
    tone = "train" if verdict in ("steady", "waits") else "val"
    # A signal that has collapsed is thinner than a line, and must still be seen.
    edge = element("path", d=path, class_=f"line {tone}", style="stroke-width:1")
    return element("path", d=path, class_=f"dot {tone}", fill_opacity=0.35) + edge


def _zero(top: float, floor: float, scale: float) -> str:
    middle = _place(0.0, scale)
    wide = digits(scale, 2)
    ends = ((_STRIP, f"-{wide}", ""), (middle, "0", " middle"), (_STRIP_END, wide, " end"))
    rule = element("line", x1=middle, x2=middle, y1=top, y2=floor, class_="rule")
    return rule + "".join(
        text(label, x=x, y=top - 6, class_=f"tick{anchor}", font_size=10)
        for x, label, anchor in ends
    )


def _curve(
    left: float,
    right: float,
    numbers: Sequence[float | None],
    middles: Sequence[float],
    top: float,
    floor: float,
) -> str:
    """The numbers on a logarithmic axis that runs across, joined from stage to stage; a zero
    stands at the left edge as a cross."""
    axis, across = _axis(left, right, numbers)
    parts = []
    for tick, label in axis.ticks if axis else ():
        x = across(tick)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=floor, class_="rule"))
        parts.append(text(label, x=x, y=top - 6, class_="tick middle", font_size=10))
    known = [(across(v), y) for v, y in zip(numbers, middles, strict=True) if _drawable(v)]
    if len(known) > 1:
        path = "M" + "L".join(f"{point(x)} {point(y)}" for x, y in known)
        parts.append(element("path", d=path, class_="line train"))
    parts += [element("circle", cx=x, cy=y, r=2.5, class_="dot train") for x, y in known]
    for number, y in zip(numbers, middles, strict=True):
        if number is not None and not _drawable(number):
            shown = "0" if number == 0 else "NaN / ∞"
            parts.append(text(shown, x=left, y=y + 4, class_="val"))
    return "".join(parts)


def _drawable(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _axis(
    left: float, right: float, numbers: Sequence[float | None]
) -> tuple[Axis | None, Callable[[float | None], float]]:
    """The axis, at least a factor of ten wide, so that steadiness looks steady."""
    known = [each for each in numbers if each is not None and _drawable(each)]
    if not known:
        return None, lambda value: left
    low, high = min(known), max(known)
    widen = max(1.0, math.sqrt(10 * low / high))
    axis = logarithmic([low / widen, high * widen])
    longest = max((text_width(label, 10) for _, label in axis.ticks), default=0.0)
    most = max(2, int((right - left) / (longest + 12)))
    kept = axis.ticks[:: max(1, -(-len(axis.ticks) // most))]
    axis = Axis(place=axis.place, ticks=kept, note=axis.note)
    return axis, lambda value: left + axis.place(value or 0.0) * (right - left)
