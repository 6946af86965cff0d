"""Axes: where a value goes between 0 and 1, and which values get a label.

Three kinds: linear, logarithmic (losses that fall by a factor), and stretched towards 1
(accuracies, where 98 % and 99 % differ as much as 50 % and 75 % do).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwright.report.words import digits, percent


@dataclass(frozen=True, kw_only=True)
class Axis:
    """`place(value)` is its position, 0 at the low end and 1 at the high end; `ticks` are the
    labelled values. `note` says what is unusual about it."""

    place: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]
    note: str = ""


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], about so many.

    >>> nice_ticks(0, 1), nice_ticks(0, 9), nice_ticks(0.31, 0.52)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 2.0, 4.0, 6.0, 8.0], [0.35, 0.4, 0.45, 0.5])
    """
    if not high > low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Multiplying, not adding up, and rounding: 0.1 + 0.2 would be labelled 0.30000000000000004.
    places = max(0, 2 - math.floor(math.log10(step)))
    return [round(k * step, places) for k in range(first, last + 1)]


def counting_ticks(low: int, high: int, about: int = 6) -> list[int]:
    """Whole numbers only, for epochs and steps.

    >>> counting_ticks(1, 3), counting_ticks(1, 20)
    ([1, 2, 3], [5, 10, 15, 20])
    """
    return sorted({int(tick) for tick in nice_ticks(low, high, about) if tick == int(tick)}) or [
        low
    ]


def linear(values: Sequence[float], *, zero: bool = False) -> Axis:
    """An axis that holds all `values` and a little room; it begins at 0 with `zero`."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    if high == low:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    low = min(low, step * math.floor(low / step + 1e-6))
    high = max(high, step * math.ceil(high / step - 1e-6))
    span = high - low
    return Axis(
        place=lambda value: (value - low) / span,
        ticks=tuple((tick, _tick_label(tick, step)) for tick in nice_ticks(low, high)),
    )


def logarithmic(values: Sequence[float]) -> Axis:
    """An axis on which equal factors are equal lengths; all `values` are above 0."""
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = 0.04 * max(high - low, 0.3)
    low, high = low - pad, high + pad
    ticks = log_ticks(10**low, 10**high)
    return Axis(
        place=lambda value: (math.log10(value) - low) / (high - low),
        ticks=tuple((tick, _log_label(tick)) for tick in ticks),
        note="log",
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high]; with 2 and 5 between them where there is room.

    >>> log_ticks(0.009, 2.5)
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    >>> log_ticks(1, 1e5)
    [1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 6)
    steps = (1, 2, 5) if high < 2000 * low else (1,)
    found = [
        float(f"{factor}e{power}") for power in range(first, last + 1, every) for factor in steps
    ]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def shares(values: Sequence[float]) -> Axis:
    """An axis for shares from 0 to 1; stretched towards 1 where the values crowd there.

    Stretched, a value v is placed by -log(1 - v): each halving of the errors is one length.
    """
    best = max(values)
    if best <= 0.9 or min(values) >= 1:
        axis = linear(values, zero=True)
        return Axis(place=axis.place, ticks=tuple((tick, _share(tick)) for tick, _ in axis.ticks))
    # A value of exactly 1 has no place on a logarithm: it is put half again above the next best.
    smallest = min((1 - v for v in values if v < 1), default=0.01)
    floor = max(smallest * (0.5 if best >= 1 else 0.8), 1e-6)

    def depth(value: float) -> float:
        return -math.log10(max(1 - value, floor))

    low = depth(max(0.0, min(values)))
    low = max((depth(tick) for tick in _STRETCHED if depth(tick) <= low + 1e-12), default=0.0)
    span = -math.log10(floor) - low or 1.0
    top = [1.0] if best >= 1 else []
    room = (1.6 if top else 1.15) * floor  # so that no label lies on that of 100 %
    known = [tick for tick in _STRETCHED if low - 1e-9 <= depth(tick) and 1 - tick > room]
    kept: list[float] = []
    for tick in reversed(known):  # from the top, where the reader looks
        if not kept or depth(kept[0]) - depth(tick) >= _APART * span:
            kept.insert(0, tick)
    kept += top
    return Axis(
        place=lambda value: (depth(value) - low) / span,
        ticks=tuple((tick, _share(tick)) for tick in kept),
        note="stretched",
    )


_STRETCHED = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)

# The least distance between two labels, as a part of the axis.
_APART = 0.12


def _tick_label(value: float, step: float) -> str:
    if value and not 1e-4 <= max(abs(value), step) < 1e6:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{places}f}" if value or places == 0 else "0"


def _log_label(value: float) -> str:
    return digits(value, 1) if 1e-4 <= value < 1e6 else f"{value:.0e}".replace("e-0", "e-")


def _share(value: float) -> str:
    points = round(100 * value, 4)
    return percent(
        value, 0 if points == int(points) else 1 if points * 10 == int(points * 10) else 2
    )
