"""Which positions of its input an operation reads along one dimension, for each it writes.

Two ways to say it. `Taps`: the pattern repeats, output unit q * period + r reads the input units
q * advance + t for t in the runs of r. `Table`: anything else, the first and the last unit read
by each output position. Units outside the input are padding: they show nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwright.records.arrays import Array

Run = tuple[int, int, int]
"""First unit, step, how many."""


@dataclass(frozen=True)
class Taps:
    """`runs[r]` are what phase r reads; a phase without runs reads nothing."""

    advance: int
    runs: tuple[tuple[Run, ...], ...]

    @property
    def period(self) -> int:
        return len(self.runs)


@dataclass(frozen=True, eq=False)
class Table:
    """Position o reads the units first[o] .. last[o]; nothing where first[o] > last[o]."""

    first: Array
    last: Array


def window(kernel: int, stride: int, before: int, dilation: int) -> Taps:
    """Convolution and pooling: unit u reads u * stride - before + t * dilation, t < kernel."""
    return Taps(stride, (((-before, dilation, kernel),),))


def transposed(kernel: int, stride: int, before: int, dilation: int) -> Taps:
    """Transposed convolution: unit i writes to i * stride - before + t * dilation.

    With kernel < stride some phases are written by nobody.

    >>> transposed(2, 3, 0, 1).runs
    (((0, 1, 1),), ((0, 1, 1),), ())
    """
    runs = []
    for phase in range(stride):
        writers = sorted(
            (phase + before - t * dilation) // stride
            for t in range(kernel)
            if (phase + before - t * dilation) % stride == 0
        )
        runs.append(_as_runs(writers))
    return Taps(1, tuple(runs))


def single(first: int, step: int = 1) -> Taps:
    """Slicing, padding (`first` < 0) and flipping (`step` -1): unit u reads first + u * step."""
    return Taps(step, (((first, 1, 1),),))


def repeats(times: int) -> Taps:
    """Each unit stands `times` times in a row."""
    return Taps(1, (((0, 1, 1),),) * times)


def adaptive(size: int, out: int) -> Taps | Table:
    """Adaptive pooling: position o reads floor(o size / out) .. ceil((o + 1) size / out) - 1."""
    if size % out == 0:
        return window(size // out, size // out, 0, 1)
    places = np.arange(out, dtype=np.int64)
    return Table(places * size // out, -(-(places + 1) * size // out) - 1)


def padded(size: int, out: int, before: int, mode: str) -> Taps | Table:
    """Padding that shows the image again: reflect, replicate, circular; or constant."""
    if mode == "constant":
        return single(-before)
    places = np.arange(out, dtype=np.int64) - before
    if mode == "reflect":
        # Without its rim, which is not repeated: the pattern's period is 2 (size - 1).
        round_trip = max(2 * (size - 1), 1)
        places = np.abs(places) % round_trip
        places = np.minimum(places, round_trip - places) if size > 1 else places * 0
    elif mode == "replicate":
        places = np.clip(places, 0, size - 1)
    elif mode == "circular":
        places = places % size
    else:
        raise ValueError(f"no padding is called {mode!r}")
    return Table(places, places)


def rolled(size: int, shift: int) -> Table:
    """`torch.roll`: position o reads (o - shift) mod size."""
    places = (np.arange(size, dtype=np.int64) - shift) % size
    return Table(places, places)


def listed(rows: Sequence[int], size: int) -> Taps | Table:
    """Position o reads rows[o], counted from the end where negative."""
    places = np.asarray(rows, dtype=np.int64)
    places = np.where(places < 0, places + size, places)
    if places.size == 1:
        return single(int(places[0]))
    steps = np.diff(places)
    if places.size and (steps == steps[0]).all() and steps[0] != 0:
        return single(int(places[0]), int(steps[0]))
    return Table(places, places)


def _as_runs(units: Sequence[int]) -> tuple[Run, ...]:
    """Ascending units as runs of one step where that is possible."""
    if not units:
        return ()
    if len(units) == 1:
        return ((units[0], 1, 1),)
    step = units[1] - units[0]
    if step > 0 and all(b - a == step for a, b in zip(units, units[1:], strict=False)):
        return ((units[0], step, len(units)),)
    return tuple((unit, 1, 1) for unit in units)


def ratio(size: int, out: int, scale: float | None) -> tuple[int, int] | None:
    """Input units per output unit as a fraction of small whole numbers; None if it is none."""
    if scale is None:
        common = math.gcd(size, out)
        return size // common, out // common
    if scale >= 1 and float(scale).is_integer():
        return 1, int(scale)
    return (round(1 / scale), 1) if 1 / round(1 / scale) == scale else None
