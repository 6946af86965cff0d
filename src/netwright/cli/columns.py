"""Text in columns: widths as a terminal counts them, where a Chinese character takes two cells."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence

from netwright.core.cells import pad, width, wrap
from netwright.core.escaping import terminal

__all__ = ["pad", "screen_width", "table", "width", "wrap"]


def screen_width() -> int:
    """Columns of the terminal (`COLUMNS` decides), kept between 40 and 100 so that lines read."""
    return min(100, max(40, shutil.get_terminal_size((80, 24)).columns))


def table(
    rows: Iterable[Sequence[object]], *, head: Sequence[str] = (), margin: int = 0
) -> list[str]:
    """Lines of a table, two blanks between columns; a column of numbers stands to the right.

    Cells are escaped for the screen. The last column is wrapped to the width of the screen,
    less a `margin` that the caller puts before each line.
    """
    cells = [[terminal("" if each is None else each) for each in row] for row in rows]
    if not cells:
        return []
    every = [list(head), *cells] if head else cells
    count = max(len(row) for row in every)
    every = [row + [""] * (count - len(row)) for row in every]
    widths = [max(width(row[i]) for row in every) for i in range(count)]
    right = [all(_number(row[i]) for row in every[bool(head) :]) for i in range(count)]
    before = sum(widths[:-1]) + 2 * (count - 1)
    lines = []
    for row in every:
        start = "  ".join(pad(row[i], widths[i], right=right[i]) for i in range(count - 1))
        last = pad(row[-1], widths[-1], right=True) if right[-1] else row[-1]
        first, *more = wrap(last, max(24, screen_width() - margin - before))
        lines.append((start + "  " + first if count > 1 else first).rstrip())
        lines += [" " * before + line for line in more]
    return lines


_NUMBER = re.compile(r"-|-?[\d,]*\.?\d+([eE][+-]?\d+)?|")


def _number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None
