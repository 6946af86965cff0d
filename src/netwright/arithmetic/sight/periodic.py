"""Fields that repeat: unit q P + r sees the rows of phase r, moved on by q A.

P is the period, A the advance. P = 1 is the classic field of Araujo, Norris & Sim 2019: size,
stride, padding. Units count from 0 and go on beyond the tensor, as rows go on beyond the image.
"""

from __future__ import annotations

import math

import numpy as np

from netwright.arithmetic.sight import row_sets
from netwright.arithmetic.sight.reading import Taps
from netwright.arithmetic.sight.row_sets import Rows
from netwright.arithmetic.sight.unit_by_unit import EMPTY_HI, EMPTY_LO, Varying
from netwright.records.inspection import AxisField

# More phases than this, as after many unlike resizes, are held unit by unit.
_MOST_PHASES = 256


class Periodic:
    """`phases[r]` are the rows that unit r sees, None for none; `why` there are several."""

    __slots__ = ("advance", "facts", "phases", "why")

    def __init__(self, advance: int, phases: tuple[Rows | None, ...], why: str = "") -> None:
        self.advance = advance
        self.phases = phases
        self.why = why
        self.facts: AxisField | None = None
        """What the record says of it along a dimension, once that was asked."""

    def at(self, unit: int) -> Rows | None:
        round_, phase = divmod(unit, len(self.phases))
        return row_sets.moved(self.phases[phase], round_ * self.advance)

    def reach(self, units: int) -> tuple[int, int] | None:
        """First and last row that units 0 .. units - 1 see together; None for no row."""
        phases = self.phases
        if len(phases) == 1:
            only = phases[0]
            if only is None or not units:
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
        if kernel == stride == 1 and not before:
            return self
        advance = self.advance
        if kernel > 1:
            only = row_sets.repeated(only, dilation * advance, kernel)
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
                    seen = row_sets.joined(seen, self.seen_by(at, step, count))
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
                seen = row_sets.joined(seen, row_sets.repeated(rows, further, copies))
        return seen

    def joined(self, other: Periodic, why: str = "") -> Periodic | None:
        """The union with `other`; None where they advance differently, or share no short period."""
        one, two = self.phases, other.phases
        if len(one) == 1 and len(two) == 1:
            if self.advance != other.advance:
                return None
            return Periodic(self.advance, (row_sets.joined(one[0], two[0]),), self.why)
        if self.advance * len(two) != other.advance * len(one):
            return None
        period = math.lcm(len(one), len(two))
        if period > _MOST_PHASES:
            return None
        phases = tuple(row_sets.joined(self.at(u), other.at(u)) for u in range(period))
        return _shortest(period // len(one) * self.advance, phases, self.why or other.why or why)

    def spread_out(self, units: int, why: str = "") -> Varying:
        """The same, unit by unit, for `units` of them."""
        phases = self.phases
        lo = np.array([EMPTY_LO if rows is None else rows[0] for rows in phases], dtype=np.int64)
        hi = np.array([EMPTY_HI if rows is None else rows[1] for rows in phases], dtype=np.int64)
        rounds = -(-units // len(phases))
        moved = np.arange(rounds, dtype=np.int64)[:, None] * self.advance
        empty = lo > hi
        lo = np.where(empty, lo, lo + moved).reshape(-1)[:units]
        hi = np.where(empty, hi, hi + moved).reshape(-1)[:units]
        return Varying(lo, hi, self.why or why)


NOTHING = Periodic(0, (None,))


def constant(rows: Rows | None) -> Periodic:
    """Every unit sees the same."""
    return NOTHING if rows is None else Periodic(0, (rows,))


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
        if all(row_sets.moved(phases[r], step) == phases[r + short] for r in range(period - short)):
            return Periodic(step, phases[:short], why if short > 1 else "")
    return Periodic(advance, phases, why)
