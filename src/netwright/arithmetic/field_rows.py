"""Sets of input rows: what one unit sees along one axis, as `(lo, hi, bits)`.

`lo` and `hi` are the first and the last row, both seen. `bits` tells which rows between them are
read: `FULL` all of them, `HULL` unknown, otherwise bit i stands for row `lo + i`. `None` is the
empty set. Plain integers, because a pass over a network makes some thousand of them.
"""

from __future__ import annotations

Rows = tuple[int, int, int]

FULL = -1
HULL = 0

# Beyond so many rows gaps are not followed: a field of 2 ** 40 rows is still three numbers.
_MOST_FOLLOWED = 1 << 16


def span(lo: int, hi: int) -> Rows:
    """All rows from `lo` to `hi`."""
    return (lo, hi, FULL)


def hull(lo: int, hi: int) -> Rows:
    """Rows from `lo` to `hi`, of which not all need be read."""
    return (lo, hi, FULL if lo == hi else HULL)


def moved(rows: Rows | None, by: int) -> Rows | None:
    return None if rows is None else (rows[0] + by, rows[1] + by, rows[2])


def repeated(rows: Rows, step: int, count: int) -> Rows:
    """The union of `rows` and its copies `step`, 2 `step`, ... further on, `count` in all.

    >>> repeated((0, 2, FULL), 1, 3)
    (0, 4, -1)
    >>> bin(repeated((0, 0, FULL), 2, 3)[2])
    '0b10101'
    """
    lo, hi, bits = rows
    reach = step * (count - 1)
    if step < 0:
        lo, step, reach = lo + reach, -step, -reach
        hi = lo + (rows[1] - rows[0])
    size = hi - lo + 1
    if reach == 0 or (bits == FULL and step <= size):
        return (lo, hi + reach, bits)
    if bits == HULL or size + reach > _MOST_FOLLOWED:
        return (lo, hi + reach, HULL)
    if bits == FULL:
        bits = (1 << size) - 1
    have = 1
    while 2 * have <= count:
        bits |= bits << (step * have)
        have *= 2
    if have < count:
        bits |= bits << (step * (count - have))
    return (lo, hi + reach, _plain(bits, size + reach))


def joined(one: Rows | None, two: Rows | None) -> Rows | None:
    """The union of both.

    >>> joined((0, 2, FULL), (3, 4, FULL)), joined((0, 0, FULL), (2, 2, FULL))
    ((0, 4, -1), (0, 2, 5))
    """
    if one is None or one == two:
        return two
    if two is None:
        return one
    if one[0] > two[0]:
        one, two = two, one
    lo, end, bits = one
    start, last, more = two
    hi = max(end, last)
    if bits == FULL and (last <= end or (more == FULL and start <= end + 1)):
        return (lo, hi, FULL)
    if more == FULL and start == lo and last >= end:
        return two
    if bits == HULL or more == HULL or hi - lo >= _MOST_FOLLOWED:
        return (lo, hi, HULL)
    if bits == FULL:
        bits = (1 << (end - lo + 1)) - 1
    if more == FULL:
        more = (1 << (last - start + 1)) - 1
    return (lo, hi, _plain(bits | more << (start - lo), hi - lo + 1))


def count(rows: Rows) -> int | None:
    """How many rows are read; None where that was not followed."""
    lo, hi, bits = rows
    if bits == FULL:
        return hi - lo + 1
    return bits.bit_count() or None


def _plain(bits: int, size: int) -> int:
    return FULL if bits == (1 << size) - 1 else bits
