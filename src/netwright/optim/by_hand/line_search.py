"""How far to go along a direction: far enough to matter, not so far that the loss rises again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from netwright.optim.by_hand import Array


class Point(NamedTuple):
    """A place on the line: how far along, the loss and gradient there, and the slope along it."""

    t: float
    value: float
    gradient: Array
    slope: float


def strong_wolfe(
    along: Callable[[float], Point],
    start: Point,
    first: float,
    *,
    reach: float = 1.0,
    evaluations: int = 25,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, int]:
    """A point that holds the strong Wolfe conditions, and how often the loss was evaluated.

        value(t) <= value(0) + c1 t slope(0)    it fell by a share of what the slope promised
        |slope(t)| <= c2 |slope(0)|             little is left to be gained further on

    `along(t)` evaluates the line, `start` is t = 0 with a slope below 0, `first` the length tried
    first; `reach` is the largest entry of the direction. Such points always exist where the loss is
    bounded below: the first condition holds near 0, and where it ends to hold the slope has come
    up. The second makes y.s > 0, which keeps L-BFGS's curvature positive.

    First the length grows until a stretch must hold such a point: the loss has risen, or the slope
    has turned. Then the stretch is narrowed, each time at the minimum of the cubic through its two
    ends, kept a tenth of it away from them when twice in a row it comes close. If evaluations run
    out, or the stretch times `reach` is below 1e-9, the lowest end is taken.

    Source: Nocedal & Wright 2006, Numerical optimization, algorithms 3.5 and 3.6, with the
    safeguards of Schmidt's minFunc, as torch has them.

    >>> import numpy as np
    >>> def along(t):  # (t - 3)^2
    ...     return Point(t, (t - 3) ** 2, np.zeros(1), 2 * (t - 3))
    >>> end, spent = strong_wolfe(along, along(0.0), 8.0)
    >>> end.t, spent  # 8 is too far; the cubic through 0 and 8 is the parabola itself
    (3.0, 2)
    """

    def too_high(point: Point) -> bool:
        return point.value > start.value + c1 * point.t * start.slope

    def level(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    last, new, spent = start, along(first), 0
    while spent < evaluations:
        if too_high(new) or (spent > 1 and new.value >= last.value):
            break
        if level(new):
            return new, spent + 1
        if new.slope >= 0:
            break
        further = (new.t + 0.01 * (new.t - last.t), 10 * new.t)
        last, new = new, along(_cubic_minimum(last, new, *further))
        spent += 1
    else:
        last = start

    low, high = (last, new) if last.value <= new.value else (new, last)
    close = False
    while spent < evaluations and abs(high.t - low.t) * reach >= 1e-9:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t, margin = _cubic_minimum(low, high, left, right), 0.1 * (right - left)
        was_close, close = close, min(right - t, t - left) < margin
        if close and (was_close or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            close = False
        new = along(t)
        spent += 1
        if too_high(new) or new.value >= low.value:
            low, high = (low, new) if low.value <= new.value else (new, low)
            continue
        if level(new):
            return new, spent + 1
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return low, spent + 1


def _cubic_minimum(a: Point, b: Point, lowest: float, highest: float) -> float:
    """Where the cubic with the values and slopes of both points is least, within the bounds.

    Nocedal & Wright 2006, equation 3.59. A cubic without a minimum gives the middle.
    """
    a, b = (a, b) if a.t <= b.t else (b, a)
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (lowest + highest) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, lowest), highest)
