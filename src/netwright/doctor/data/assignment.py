"""The best one-to-one mapping between two sets of labels (the assignment problem)."""

from __future__ import annotations

from typing import Any

import numpy as np

Table = np.ndarray[Any, np.dtype[np.float64]]


def best_assignment(gain: Table) -> tuple[int, ...]:
    """For each row of the square table (C, C) a column, no two the same, of the largest total gain.

    The method of shortest augmenting paths with potentials, C^3 steps (Kuhn 1955; Jonker &
    Volgenant 1987).

    >>> best_assignment(np.array([[1.0, 5.0], [2.0, 4.0]]))
    (1, 0)
    """
    cost = -np.asarray(gain, dtype=np.float64)
    size = len(cost)
    # Row and column 0 stand for "none yet", as in every telling of this method.
    rows, columns = np.zeros(size + 1), np.zeros(size + 1)
    owner = np.zeros(size + 1, dtype=int)
    for row in range(1, size + 1):
        owner[0] = row
        least = np.full(size + 1, np.inf)
        before = np.zeros(size + 1, dtype=int)
        done = np.zeros(size + 1, dtype=bool)
        column = 0
        while owner[column]:
            done[column] = True
            current = owner[column]
            reduced = cost[current - 1] - rows[current] - columns[1:]
            better = ~done[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            before[1:][better] = column
            following = int(np.where(done, np.inf, least)[1:].argmin()) + 1
            step = least[following]
            rows[owner[done]] += step
            columns[done] -= step
            least[~done] -= step
            column = following
        while column:
            owner[column] = owner[before[column]]
            column = int(before[column])
    found = np.zeros(size, dtype=int)
    found[owner[1:] - 1] = np.arange(size)
    return tuple(int(each) for each in found)
