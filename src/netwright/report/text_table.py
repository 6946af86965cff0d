"""Rows as lines of text that fit a width: what matters least gives way first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netwright.core.cells import pad, width
from netwright.core.escaping import terminal


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of finished cells. `rank` 0 always stays; a higher one is left out earlier."""

    head: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = True


def aligned(columns: Sequence[Column], *, cells: int, rules: Sequence[int] = ()) -> list[str]:
    """The lines of a table at most `cells` wide, its head first; `rules` are the rows that a line
    of dashes stands before. The first column is shortened where leaving out others is not enough.
    """
    shown = list(columns)
    while len(shown) > 2 and _total(shown) > cells and any(each.rank for each in shown):
        most = max(each.rank for each in shown)
        shown = [each for each in shown if each.rank < most]
    first, *rest = shown
    room = max(8, cells - (_total(rest) + 2 if rest else 0))
    names = [shortened(terminal(each), room) for each in first.cells]
    shown = [Column(head=first.head, cells=names, right=False), *rest]
    widths = [_width(each) for each in shown]
    found = []
    for row in range(-1, len(names)):
        texts = [each.head if row < 0 else each.cells[row] for each in shown]
        line = "  ".join(
            pad(text, wide, right=each.right)
            for text, wide, each in zip(texts, widths, shown, strict=True)
        )
        if row in rules:
            found.append("-" * min(cells, sum(widths) + 2 * (len(widths) - 1)))
        found.append(line.rstrip())
    return found


def shortened(text: str, cells: int) -> str:
    """`text` with its middle left out until it takes at most `cells`; the end of a path tells
    more than its beginning.

    >>> shortened("encoder.layers.11.self_attention", 20)
    'encode…elf_attention'
    """
    if width(text) <= cells:
        return text
    head = max(1, (cells - 1) // 3)
    while head > 1 and width(text[:head]) > cells // 3:
        head -= 1
    tail = len(text) - (cells - 1 - head)
    while tail < len(text) and width(text[tail:]) + width(text[:head]) + 1 > cells:
        tail += 1
    return text[:head] + "…" + text[tail:]


def _width(column: Column) -> int:
    return max([width(column.head), *(width(each) for each in column.cells)])


def _total(columns: Sequence[Column]) -> int:
    return sum(_width(each) for each in columns) + 2 * (len(columns) - 1)
