"""Text in columns: widths as a terminal counts them, where a Chinese character takes two cells."""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from netwright.core.escaping import terminal


def width(text: str) -> int:
    """Cells a terminal needs for `text`.

    >>> width("lr"), width("学习率")
    (2, 6)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """`text` filled with blanks to `cells`; never cut."""
    blanks = " " * max(0, cells - width(text))
    return blanks + text if right else text + blanks


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


def wrap(text: str, cells: int) -> list[str]:
    """`text` in lines of at most `cells`; Chinese may break between any two characters."""
    if text.isascii():
        lines = textwrap.wrap(
            text,
            cells,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
        return lines or [""]
    lines, line = [], ""
    for piece in _pieces(text):
        if line and width(line) + width(piece.rstrip()) > cells and piece[0] not in _NOT_FIRST:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


_NOT_FIRST = "，。；：！？、）”》…"  # must not begin a line


def _pieces(text: str) -> list[str]:
    """Words with the blank behind them; a wide character is a word of its own."""
    pieces: list[str] = []
    word = ""
    for char in text:
        if unicodedata.east_asian_width(char) in "WF":
            pieces += [word] if word else []
            pieces.append(char)
            word = ""
        elif char == " ":
            pieces.append(word + char)
            word = ""
        else:
            word += char
    return [*pieces, word] if word else pieces


_NUMBER = re.compile(r"-|-?[\d,]*\.?\d+([eE][+-]?\d+)?|")


def _number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None
