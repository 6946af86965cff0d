"""Which positions a resize reads: nearest, linear, cubic, area, as torch's interpolate does.

Position o of the output lies at `(o + 1/2) ratio - 1/2` in the input, or at `o ratio` with
aligned corners. By a whole factor the pattern repeats; otherwise there is a table.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from netwright.arithmetic.sight import reading
from netwright.arithmetic.sight.reading import Table, Taps

# Units a mode reads: from so many before floor(position) on, so many in all.
_REACH = {"linear": (0, 2), "cubic": (1, 4), "lanczos": (2, 6)}

_KIND = {
    "nearest": "nearest",
    "nearest-exact": "nearest-exact",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
    "area": "area",
}

MODES = frozenset(_KIND)

_ON_A_UNIT = 1e-9

# A pattern of more phases than this is a table.
_MOST_PHASES = 8


def resized(
    size: int,
    out: int,
    mode: str,
    align_corners: bool = False,
    scale: float | None = None,
    antialias: bool = False,
) -> Taps | Table:
    """What `torch.nn.functional.interpolate` reads along one dimension from `size` to `out`.

    `scale` is the factor it was told, if it was told one and keeps to it (not recomputed). Raises
    `ValueError` for a mode nobody knows.

    >>> resized(4, 8, "bilinear").runs
    (((-1, 1, 2),), ((0, 1, 2),))
    """
    if mode not in _KIND:
        raise ValueError(f"no resizing is called {mode!r}")
    kind = _KIND[mode]
    if kind == "area":
        return reading.adaptive(size, out)
    if antialias and kind in _REACH:
        return _antialiased(size, out, align_corners, scale, support=_REACH[kind][1] / 2)
    if size == out and (kind in ("nearest", "linear") or scale in (None, 1.0)):
        return reading.single(0)
    if kind == "nearest" and out == 2 * size:
        return reading.repeats(2)
    fraction = reading.ratio(size, out, scale)
    whole = fraction is not None and 1 in fraction
    if kind in ("nearest", "nearest-exact"):
        if fraction is not None and whole:
            return _nearest(*fraction, exact=kind == "nearest-exact")
        return _nearest_table(size, out, scale, exact=kind == "nearest-exact")
    before, taps = _REACH[kind]
    if align_corners:
        step = Fraction(size - 1, out - 1) if out > 1 else Fraction(0)
        return _between([o * step for o in range(out)], size, before, taps)
    if fraction is not None and fraction[1] <= _MOST_PHASES:
        up, down = fraction
        runs = []
        for phase in range(down):
            place = Fraction(2 * phase + 1, 2) * Fraction(up, down) - Fraction(1, 2)
            first, count = _around(place, before, taps)
            runs.append(((first, 1, count),))
        return Taps(up, tuple(runs))
    step = Fraction(size, out) if scale is None else 1 / Fraction(scale)
    half = Fraction(1, 2)
    return _between([(o + half) * step - half for o in range(out)], size, before, taps)


def _around(place: Fraction, before: int, taps: int) -> tuple[int, int]:
    """First unit and how many: on a unit (as floats go), the others weigh nothing."""
    nearest = round(place)
    if abs(place - nearest) < _ON_A_UNIT:
        return nearest, 1
    return place.numerator // place.denominator - before, taps


def _between(places: list[Fraction], size: int, before: int, taps: int) -> Table:
    around = [_around(place, before, taps) for place in places]
    first = np.array([unit for unit, _ in around], dtype=np.int64)
    last = first + np.array([count for _, count in around], dtype=np.int64) - 1
    # At the rim torch reads the outermost unit again.
    return Table(np.clip(first, 0, size - 1), np.clip(last, 0, size - 1))


def _nearest(up: int, down: int, exact: bool) -> Taps:
    """By a whole factor: enlarged, each unit `down` times; made smaller, every `up`-th."""
    if up == 1:
        return reading.repeats(down)
    return reading.single(up // 2 if exact else 0, up)


def _nearest_table(size: int, out: int, scale: float | None, exact: bool) -> Table:
    # In single precision, as torch does it: floor(o * ratio) may differ from the exact one.
    step = np.float32(1 / scale) if scale else np.float32(size) / np.float32(out)
    places = np.arange(out, dtype=np.float32)
    read = np.floor((places + np.float32(0.5)) * step if exact else places * step)
    units = np.minimum(read.astype(np.int64), size - 1)
    return Table(units, units)


def _antialiased(
    size: int, out: int, align_corners: bool, scale: float | None, support: float
) -> Table:
    """Made smaller, the window grows with the step; its very ends weigh nothing."""
    if align_corners:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = 1 / scale if scale else size / out
    reach = support * max(step, 1.0)
    centre = (np.arange(out) + 0.5) * step - 0.5
    first = np.floor(centre - reach + _ON_A_UNIT).astype(np.int64) + 1
    last = np.ceil(centre + reach - _ON_A_UNIT).astype(np.int64) - 1
    if step <= 1:
        unit = np.rint(centre).astype(np.int64)
        alone = np.abs(centre - unit) < _ON_A_UNIT
        first, last = np.where(alone, unit, first), np.where(alone, unit, last)
    return Table(np.clip(first, 0, size - 1), np.clip(last, 0, size - 1))
