r"""The numeric derivative of a function of one number at 0, with what it is known to.

The central difference $D(h) = (f(h) - f(-h)) / 2h$ is off by $h^2 f'''/6 + O(h^4)$. Two of them
give Richardson's extrapolation $R = (4 D(h/2) - D(h)) / 3$, off by $O(h^4)$; the distance
$|R - D(h/2)|$ is the error of the better difference, and so a bound on that of $R$. Beside it
stands rounding: values known to $\sigma$ make a difference known to about $\sigma / h$. Steps go
from large to small until the derivative is known well enough: small ones reach no kink nearby.

Source: Press et al., Numerical Recipes, section 5.7; the noise of a computed function: Moré and
Wild 2011, "Estimating computational noise", section 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Line = Callable[[float], float]

FACTOR = 30.0
"""Between one step and the next."""

STEPS = 5
LARGEST, MOST = 3e-4, 5e-2
"""The largest step where values are good to the last bit, and where they are hardly known."""

ROUNDING = 8.0
"""How many times the noise a difference may be off; 4 times its standard error."""

LOOSE = 1e-3
"""A derivative known to one part in a thousand still speaks, if no better one is to be had."""

GROSS = 1e-2
"""A difference of this share is settled by two steps; smaller ones by all, for kinks make them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The derivative with one step: its value, and what it is known to."""

    step: float
    value: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class Slope:
    """What numeric derivatives say of an expected one.

    `agrees`; `differs`, which two steps must confirm; or `unsettled`: the derivative is another
    one for every step, as at a kink. `level` is the number of the step that told.
    """

    says: Literal["agrees", "differs", "unsettled"]
    value: float
    bound: float
    level: int = 0


def slope(
    line: Line,
    expected: float,
    *,
    scale: float,
    floor: float,
    noise: float,
    tolerance: float,
    steps: Sequence[float],
) -> Slope:
    """Compare the derivative of `line` at 0 with the `expected` one.

    `scale` is the size that the derivative is expected to have: a difference below `tolerance`
    times it is none, nor is one below `floor`. `noise` is the rounding error of a value of `line`.

    >>> check = dict(scale=1.0, floor=0.0, noise=1e-16, tolerance=1e-6, steps=[3e-4, 1e-5, 3e-7])
    >>> slope(math.sin, 1.0, **check).says, slope(math.sin, 1.1, **check).says
    ('agrees', 'differs')
    >>> slope(lambda t: max(t, 0.0) + max(-0.5 * t, 0.0), 0.0, **check).says
    'differs'
    >>> slope(lambda t: math.copysign(1.0, t), 0.0, **check).says
    'unsettled'
    """
    allowed = max(tolerance * scale, floor)
    found: list[tuple[int, Reading]] = []
    for level, step in enumerate(steps):
        reading = read(line, step, noise)
        if not math.isfinite(reading.value):
            continue
        found.append((level, reading))
        off = abs(expected - reading.value)
        if reading.bound <= allowed and off <= max(allowed, reading.bound):
            return Slope(says="agrees", value=reading.value, bound=reading.bound, level=level)
        if off > GROSS * scale and _confirmed(found, expected, allowed):
            break
    if not found:
        return Slope(says="unsettled", value=math.nan, bound=math.inf)
    level, best = min(found, key=lambda each: each[1].bound)
    if not math.isfinite(expected):
        stable = best.bound <= max(LOOSE * abs(best.value), floor)
        says: Literal["differs", "unsettled"] = "differs" if stable else "unsettled"
        return Slope(says=says, value=best.value, bound=best.bound, level=level)
    if _confirmed(found, expected, allowed):
        return Slope(says="differs", value=best.value, bound=best.bound, level=level)
    loose = [
        (level, each)
        for level, each in found
        if each.bound <= max(LOOSE * scale, floor)
        and abs(expected - each.value) <= max(each.bound, allowed)
    ]
    if loose:
        level, best = min(loose, key=lambda each: each[1].bound)
        return Slope(says="agrees", value=best.value, bound=best.bound, level=level)
    return Slope(says="unsettled", value=best.value, bound=best.bound, level=level)


def _confirmed(found: Sequence[tuple[int, Reading]], expected: float, allowed: float) -> bool:
    """Whether two steps know the derivative far better than it is off, and give the same one."""
    sure = [
        each
        for _, each in found
        if 10 * each.bound < abs(expected - each.value) and abs(expected - each.value) > allowed
    ]
    return any(
        abs(a.value - b.value) <= 0.1 * min(abs(expected - a.value), abs(expected - b.value))
        for number, a in enumerate(sure)
        for b in sure[number + 1 :]
    )


def read(line: Line, step: float, noise: float) -> Reading:
    """The derivative at 0 from four values, at plus and minus `step` and half of it.

    >>> found = read(lambda t: t + t**3, 0.1, 0.0)
    >>> round(found.value, 9), round(found.bound, 6)
    (1.0, 0.0025)
    """
    whole = (line(step) - line(-step)) / (2 * step)
    half = (line(step / 2) - line(-step / 2)) / step
    value = (4 * half - whole) / 3
    return Reading(step=step, value=value, bound=abs(value - half) + ROUNDING * noise / step)


def steps_for(noise: float, size: float) -> list[float]:
    """The steps to try, largest first, for values of `size` known to `noise`.

    >>> [f"{each:.0e}" for each in steps_for(1e-16, 1.0)]
    ['3e-04', '1e-05', '3e-07', '1e-08', '4e-10']
    """
    share = noise / size if size > 0 else 0.0
    first = min(max(share**0.25, LARGEST), MOST)
    return [first / FACTOR**number for number in range(STEPS)]


def noise_of(values: Sequence[float], *, least: int = 2) -> float:
    r"""The rounding error of values a tiny equal distance apart.

    Differences of order k of smooth values vanish, and those of independent errors have the
    variance $\binom{2k}{k} \sigma^2$; the largest $\sigma$ of orders from `least` up is taken.

    >>> noise_of([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0
    """
    found, row, order = 0.0, list(values), 0
    while len(row) > 2:
        row = [b - a for a, b in itertools.pairwise(row)]
        order += 1
        if order >= least:
            mean = sum(each * each for each in row) / len(row)
            found = max(found, math.sqrt(mean / math.comb(2 * order, order)))
    return found
