"""How the units of a tensor see one axis of the input, as a function of one running index.

`Periodic`, with period P and advance A: unit q P + r sees the rows of phase r, moved on by q A.
P = 1 is the classic field of Araujo, Norris & Sim 2019: size, stride, padding. `Varying`: first
and last row for each unit, for what has no period. `Unknown`: behind an operation without a rule.
All are immutable; units count from 0 and go on beyond the tensor, as rows go on beyond the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netwright.arithmetic import field_rows
from netwright.arithmetic.field_rows import Rows
from netwright.arithmetic.field_taps import Table, Taps
from netwright.records.arrays import Array

# More phases than this, as after twenty unlike resizes, are held as rows of each unit.
_MOST_PHASES = 256

# First and last row of a unit that sees nothing: neutral for minimum and maximum.
_EMPTY_LO = 1 << 60
_EMPTY_HI = -(1 << 60)


class Periodic:
    """`phases[r]` are the rows that unit r sees, None for none; `why` there are several."""

    __slots__ = ("advance", "phases", "why")

    def __init__(self, advance: int, phases: tuple[Rows | None, ...], why: str = "") -> None:
        self.advance = advance
        self.phases = phases
        self.why = why

    def at(self, unit: int) -> Rows | None:
        round_, phase = divmod(unit, len(self.phases))
        return field_rows.moved(self.phases[phase], round_ * self.advance)

    def reach(self, units: int) -> tuple[int, int] | None:
        """First and last row that units 0 .. units - 1 see together; None for no row."""
        phases = self.phases
        if len(phases) == 1:
            only = phases[0]
            if only is None:
                return None
            far = (units - 1) * self.advance
            return (only[0], only[1] + far) if far >= 0 else (only[0] + far, only[1])
        rim = min(units, len(phases))
        ends = [*range(rim), *range(units - rim, units)]
        seen = [rows for rows in map(self.at, ends) if rows is not None]
        if not seen:
            return None
        return min(rows[0] for rows in seen), max(rows[1] for rows in seen)

    def windows(self, kernel: int, stride: int, before: int, dilation: int) -> Periodic:
        """Behind a convolution or a pooling: the hot case, one period, plain integers."""
        phases = self.phases
        if len(phases) > 1:
            run = ((-before, dilation, kernel),)
            return self.through(Taps(stride, (run,)))
        only = phases[0]
        if only is None:
            return self
        advance = self.advance
        if kernel > 1:
            only = field_rows.repeated(only, dilation * advance, kernel)
        if before:
            by = before * advance
            only = (only[0] - by, only[1] - by, only[2])
        return Periodic(advance * stride, (only,), self.why)

    def through(self, taps: Taps, why: str = "") -> Periodic:
        """Behind an operation whose pattern of reading repeats."""
        period = len(self.phases)
        rounds = period // math.gcd(period, taps.advance)
        phases: list[Rows | None] = []
        for turn in range(rounds):
            for runs in taps.runs:
                seen: Rows | None = None
                for first, step, count in runs:
                    at = turn * taps.advance + first
                    seen = field_rows.joined(seen, self.seen_by(at, step, count))
                phases.append(seen)
        moved = rounds * taps.advance * self.advance
        return _shortest(moved // period, tuple(phases), self.why or why)

    def seen_by(self, first: int, step: int, count: int) -> Rows | None:
        """What `count` units from `first` on see together."""
        period = len(self.phases)
        turns = period // math.gcd(period, step)
        seen: Rows | None = None
        for offset in range(min(turns, count)):
            rows = self.at(first + offset * step)
            if rows is not None:
                copies = -(-(count - offset) // turns)
                further = turns * step // period * self.advance
                seen = field_rows.joined(seen, field_rows.repeated(rows, further, copies))
        return seen

    def joined(self, other: Periodic, why: str = "") -> Periodic | None:
        """The union with `other`; None where they advance differently, or share no short period."""
        one, two = self.phases, other.phases
        if len(one) == 1 and len(two) == 1:
            if self.advance != other.advance:
                return None
            return Periodic(self.advance, (field_rows.joined(one[0], two[0]),), self.why)
        if self.advance * len(two) != other.advance * len(one):
            return None
        period = math.lcm(len(one), len(two))
        if period > _MOST_PHASES:
            return None
        phases = tuple(field_rows.joined(self.at(u), other.at(u)) for u in range(period))
        return _shortest(period // len(one) * self.advance, phases, self.why or other.why or why)

    def spread_out(self, units: int, why: str = "") -> Varying:
        """The same, unit by unit, for `units` of them."""
        phases = self.phases
        lo = np.array([_EMPTY_LO if rows is None else rows[0] for rows in phases], dtype=np.int64)
        hi = np.array([_EMPTY_HI if rows is None else rows[1] for rows in phases], dtype=np.int64)
        rounds = -(-units // len(phases))
        moved = np.arange(rounds, dtype=np.int64)[:, None] * self.advance
        empty = lo > hi
        lo = np.where(empty, lo, lo + moved).reshape(-1)[:units]
        hi = np.where(empty, hi, hi + moved).reshape(-1)[:units]
        return Varying(lo, hi, self.why or why)


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
        lo, hi = int(self.lo.min()), int(self.hi.max())
        return None if lo > hi else (lo, hi)

    def through(self, taps: Taps | Table, place: int, out: int, why: str = "") -> Varying:
        """Behind an operation along axis `place` of the arrays that writes `out` positions."""
        lo, hi = np.moveaxis(self.lo, place, -1), np.moveaxis(self.hi, place, -1)
        shape = (*lo.shape[:-1], out)
        new_lo = np.full(shape, _EMPTY_LO, dtype=np.int64)
        new_hi = np.full(shape, _EMPTY_HI, dtype=np.int64)
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
        return Varying(self.lo.min(axis=axes), self.hi.max(axis=axes), self.why)

    def joined(self, other: Varying, why: str) -> Varying:
        """The union with another of the same, or a broadcastable, shape."""
        lo, hi = np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi)
        return Varying(lo, hi, self.why or other.why or why)


class Unknown:
    """Nothing can be said: `why` names the operation without a rule."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


Form = Periodic | Varying | Unknown

NOTHING = Periodic(0, (None,))


def constant(rows: Rows | None) -> Periodic:
    """Every unit sees the same."""
    return NOTHING if rows is None else Periodic(0, (rows,))


def regular(form: Varying) -> Form:
    """As a window, where the rows of each unit follow those of the last by the same step."""
    lo, hi = form.lo, form.hi
    if lo.ndim == 1 and len(lo) > 1 and (lo <= hi).all():
        step = int(lo[1] - lo[0])
        if (np.diff(lo) == step).all() and (np.diff(hi) == step).all():
            return Periodic(step, (field_rows.hull(int(lo[0]), int(hi[0])),))
    return form


def _shortest(advance: int, phases: tuple[Rows | None, ...], why: str) -> Periodic:
    """With the shortest period that says the same."""
    period = len(phases)
    if period == 1:
        return Periodic(advance, phases, "")
    if phases.count(None) == period:
        return NOTHING
    for short in range(1, period // 2 + 1):
        turns, rest = divmod(period, short)
        if rest or advance % turns:
            continue
        step = advance // turns
        if all(
            field_rows.moved(phases[r], step) == phases[r + short] for r in range(period - short)
        ):
            return Periodic(step, phases[:short], why if short > 1 else "")
    return Periodic(advance, phases, why)


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
