"""The field of each unit for itself: first and last row, for what repeats in no short period."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.arithmetic.sight.reading import Table, Taps
from netwright.records.arrays import Array

# First and last row of a unit that sees nothing: neutral for minimum and maximum.
EMPTY_LO = 1 << 60
EMPTY_HI = -(1 << 60)


class Varying:
    """First and last row for each unit, arrays of one shape; `lo > hi` for one that sees nothing.

    More than one axis where the running index is made of several dimensions of the tensor.
    """

    __slots__ = ("hi", "lo", "why")

    def __init__(self, lo: Array, hi: Array, why: str) -> None:
        self.lo = lo
        self.hi = hi
        self.why = why

    def reach(self) -> tuple[int, int] | None:
        lo = int(self.lo.min(initial=EMPTY_LO))
        hi = int(self.hi.max(initial=EMPTY_HI))
        return None if lo > hi else (lo, hi)

    def through(self, taps: Taps | Table, place: int, out: int, why: str = "") -> Varying:
        """Behind an operation along axis `place` of the arrays that writes `out` positions."""
        lo, hi = np.moveaxis(self.lo, place, -1), np.moveaxis(self.hi, place, -1)
        shape = (*lo.shape[:-1], out)
        new_lo = np.full(shape, EMPTY_LO, dtype=np.int64)
        new_hi = np.full(shape, EMPTY_HI, dtype=np.int64)
        for units, where in _reads(taps, lo.shape[-1], out):
            if len(where):
                new_lo[..., where] = np.minimum(new_lo[..., where], lo[..., units])
                new_hi[..., where] = np.maximum(new_hi[..., where], hi[..., units])
        return Varying(
            np.moveaxis(new_lo, -1, place), np.moveaxis(new_hi, -1, place), self.why or why
        )

    def reduced(self, places: Sequence[int]) -> Varying:
        """Behind an operation that reads all units along these axes of the arrays."""
        axes = tuple(places)
        lo = self.lo.min(axis=axes, initial=EMPTY_LO)
        return Varying(lo, self.hi.max(axis=axes, initial=EMPTY_HI), self.why)

    def joined(self, other: Varying, why: str) -> Varying:
        """The union with another of the same, or a broadcastable, shape."""
        lo, hi = np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi)
        return Varying(lo, hi, self.why or other.why or why)


def _reads(taps: Taps | Table, units: int, out: int) -> list[tuple[Array, Array]]:
    """Pairs (input units, output positions): each pair is read; padding is left out."""
    pairs = []
    if isinstance(taps, Table):
        longest = int((taps.last - taps.first).max(initial=-1)) + 1
        places = np.arange(out, dtype=np.int64)
        for offset in range(longest):
            read = taps.first + offset
            real = (read <= taps.last) & (read >= 0) & (read < units)
            pairs.append((read[real], places[real]))
        return pairs
    for phase, runs in enumerate(taps.runs):
        places = np.arange(phase, out, len(taps.runs), dtype=np.int64)
        rounds = np.arange(len(places), dtype=np.int64) * taps.advance
        for first, step, count in runs:
            for tap in range(count):
                read = rounds + (first + tap * step)
                real = (read >= 0) & (read < units)
                pairs.append((read[real], places[real]))
    return pairs
