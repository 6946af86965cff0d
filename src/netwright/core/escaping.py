"""Escaping: one function for each context that text of unknown origin is put into."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any

# Line breaks and tabs are control characters too: one name must stay on one line.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def html_text(text: object) -> str:
    """For the text of an element: markup shown, control and direction characters made visible."""
    return html.escape(terminal(text), quote=False)


def html_attribute(text: object) -> str:
    """For an attribute value between double quotes."""
    return html.escape(terminal(text), quote=True)


def script_json(value: Any) -> str:
    """JSON for a script element: nothing in it can close the element or start a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def csv_cell(value: object) -> str:
    """For a cell of a CSV file: a spreadsheet takes text that begins with `=`, `+`, `-` or `@`,
    a tab or a line break for a formula, so an apostrophe is put before it. Numbers stay numbers.

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell(-1e-07)
    ("'=1+1", '-0.5', '-1e-07')
    """
    text = str(value)
    if _NUMBER.fullmatch(text):
        return text
    formula = text.lstrip()[:1] in _FORMULA or text[:1] in {"\t", "\r", "\n"}
    return "'" + text if text and formula else text


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMULA = set("=+-@＝＋－＠")  # the wide ones too: some spreadsheets read them alike


def terminal(text: object) -> str:
    r"""For the screen: control, direction and undecodable characters are shown, not obeyed.

    >>> terminal("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    plain = str(text)
    return plain if plain.isprintable() else "".join(_visible(char) for char in plain)


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode carries it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
