"""Rows over time in bounded memory: the whole run is covered, ever more thinly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Series:
    """Named columns. When `most` rows are there, every other one of the older half is left out, so
    a million steps take what a thousand do; the newest rows are always complete.

    >>> series = Series(("step", "loss"), most=4)
    >>> for step in range(1, 8):
    ...     series.add({"step": step, "loss": 1 / step})
    >>> series.column("step").tolist()
    [1.0, 5.0, 6.0, 7.0]
    """

    def __init__(self, columns: tuple[str, ...], *, most: int = 4096) -> None:
        self._columns: dict[str, list[float]] = {name: [] for name in columns}
        self._most = most

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def add(self, row: Mapping[str, float | None]) -> None:
        """One row; what it does not name is NaN."""
        if len(self) >= self._most:
            self._thin()
        for name, values in self._columns.items():
            value = row.get(name)
            values.append(float("nan") if value is None else float(value))

    def extend(self, rows: Sequence[Sequence[float | None]], names: Sequence[str]) -> None:
        """Some rows at once, each in the order of `names`.

        >>> series = Series(("step", "loss", "rate"), most=4)
        >>> series.extend([(1, 0.5), (2, None)], ("step", "loss"))
        >>> series.column("loss").tolist(), series.column("rate").tolist()
        ([0.5, nan], [nan, nan])
        """
        if len(self) + len(rows) > self._most:
            for row in rows:
                self.add(dict(zip(names, row, strict=True)))
            return
        unknown = float("nan")
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            self._columns[name] += [unknown if each is None else float(each) for each in values]
        for name, column in self._columns.items():
            if name not in names:
                column += [unknown] * len(rows)

    def amend(self, row: Mapping[str, float | None]) -> None:
        """Fill in values of the newest row."""
        for name, value in row.items():
            if value is not None and self._columns[name]:
                self._columns[name][-1] = float(value)

    def newest(self, name: str) -> float | None:
        """The last value of a column; None before the first row."""
        values = self._columns[name]
        return values[-1] if values else None

    def cut(self, name: str, most: float) -> None:
        """Leave out the newest rows whose `name` is above `most`.

        >>> series = Series(("step",))
        >>> series.extend([(1,), (2,), (3,)], ("step",))
        >>> series.cut("step", 2)
        >>> series.column("step").tolist()
        [1.0, 2.0]
        """
        kept = len(self)
        while kept and self._columns[name][kept - 1] > most:
            kept -= 1
        for values in self._columns.values():
            del values[kept:]

    def column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(self._columns[name], dtype=np.float64)

    def columns(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        return {name: self.column(name) for name in self._columns}

    def _thin(self) -> None:
        half = len(self) // 2
        for values in self._columns.values():
            del values[1:half:2]
            if half < 2:
                del values[0]
