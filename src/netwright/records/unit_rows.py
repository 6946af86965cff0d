"""What each unit of a map sees of the image: first and last row, first and last column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netwright.records.arrays import Array


@dataclass(frozen=True, eq=False)
class UnitRows:
    """First and last row of one axis that unit (row, column) sees, as on an image without end.

    Integers (h, w), of length 1 along what they do not depend on; `first > last` for a unit that
    sees nothing.

    >>> rows = UnitRows(np.array([[-1], [1], [9]]), np.array([[1], [3], [0]]))
    >>> rows.at(1, 7), rows.at(2, 7)
    ((1, 3), None)
    """

    first: Array
    last: Array

    def at(self, row: int, column: int) -> tuple[int, int] | None:
        high, wide = self.first.shape
        place = (row if high > 1 else 0, column if wide > 1 else 0)
        first, last = int(self.first[place]), int(self.last[place])
        return (first, last) if first <= last else None


def nearest_seeing(
    axes: tuple[UnitRows, UnitRows], size: tuple[int, int], unit: tuple[int, int]
) -> tuple[int, int] | None:
    """The unit of a map of `size` nearest to `unit` that sees rows and columns.

    >>> gaps = UnitRows(np.array([[0], [9], [2]]), np.array([[1], [0], [3]]))
    >>> nearest_seeing((gaps, gaps), (3, 3), (1, 1))
    (0, 1)
    """
    seeing = np.broadcast_to(axes[0].first <= axes[0].last, size)
    seeing = seeing & (axes[1].first <= axes[1].last)
    rows, columns = np.nonzero(seeing)
    if not len(rows):
        return None
    found = int(np.argmin((rows - unit[0]) ** 2 + (columns - unit[1]) ** 2))
    return int(rows[found]), int(columns[found])
