"""Cells of a terminal: how wide a text is there, where a Chinese character takes two of them."""

from __future__ import annotations

import textwrap
import unicodedata


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
