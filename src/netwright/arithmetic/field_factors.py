"""Shapes as products of factors: what a reshape splits and merges.

`(8, 49, 96)` may be `((8,), (7, 7), (96,))`: the second dimension counts two factors, the left
one more significant. Factors are numbered in order over all dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

Factors = tuple[tuple[int, ...], ...]

Pieces = list[list[tuple[int, int | None]]]
"""For each new dimension its factors: (size, number of the old factor it is a part of or None)."""


def refactored(old: Sequence[int], shape: Sequence[int]) -> Pieces | None:
    """The factors `old` (row-major) regrouped into `shape`, split where that suffices.

    None where a new dimension would need a part of a factor that does not divide.

    >>> refactored([2, 12], (2, 3, 4))
    [[(2, 0)], [(3, 1)], [(4, 1)]]
    >>> refactored([2, 12], (24,))
    [[(2, 0), (12, 1)]]
    >>> refactored([4, 6], (6, 4)) is None
    True
    """
    left = [(size, number) for number, size in enumerate(old) if size != 1]
    left.reverse()
    pieces: Pieces = []
    for size in shape:
        group: list[tuple[int, int | None]] = []
        need = size
        while need > 1:
            if not left:
                return None
            factor, number = left.pop()
            if need % factor == 0:
                group.append((factor, number))
                need //= factor
            elif factor % need == 0:
                group.append((need, number))
                left.append((factor // need, number))
                need = 1
            else:
                return None
        pieces.append(group or [(1, None)])
    return pieces


def stretches(old: Sequence[int], new: Sequence[int]) -> list[tuple[range, range]]:
    """The shortest runs of dimensions of two shapes that hold equally many elements.

    >>> stretches((5, 4, 6), (5, 6, 4))
    [(range(0, 1), range(0, 1)), (range(1, 3), range(1, 3))]
    """
    found = []
    i = j = 0
    while i < len(old) or j < len(new):
        start_i, start_j = i, j
        one = two = 1
        if i < len(old):
            one, i = old[i], i + 1
        if j < len(new):
            two, j = new[j], j + 1
        while one != two:
            if one < two and i < len(old):
                one, i = one * old[i], i + 1
            elif two < one and j < len(new):
                two, j = two * new[j], j + 1
            else:
                break
        found.append((range(start_i, i), range(start_j, j)))
    return found
