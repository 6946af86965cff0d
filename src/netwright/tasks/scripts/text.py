"""Python text that `ruff format` would leave as it is: values, calls, and where they break.

What fits into 88 columns stays on one line; what does not is written one element a line, each
with a comma behind it, and stays so with any longer line too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 88


class Code(str):
    """An expression, as it is to stand there; a `str` that is none is a text in quotes."""


@dataclass(frozen=True)
class Call:
    """A call: positional values, keywords, then what the mapping `rest` holds."""

    target: str
    values: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    rest: str = ""


def statement(before: str, value: Any, after: str = "", *, indent: int = 0) -> list[str]:
    """The lines of `before` + `value` + `after`.

    >>> statement("sizes = ", {"train": 3, "test": [1, 2]})
    ['sizes = {"train": 3, "test": [1, 2]}']
    >>> statement("x = ", Call("f", [Code("a" * 40)], {"key": "b" * 40}))[-2:]
    ['    key="bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",', ')']
    """
    line = " " * indent + before + written(value) + after
    parts = _parts(value)
    if len(line) <= WIDTH or not parts:
        return [line]
    first, last = _brackets(value)
    lines = [" " * indent + before + first]
    for name, part in parts:
        lines += statement(name, part, ",", indent=indent + 4)
    return [*lines, " " * indent + last + after]


def written(value: Any) -> str:
    """A value on one line.

    >>> written(("a", None, 1e-5)), written((2,)), written('say "a"')
    ('("a", None, 1e-05)', '(2,)', '\\'say "a"\\'')
    """
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        plain = repr(value)
        return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in value else plain
    if isinstance(value, Call | dict | list | tuple):
        first, last = _brackets(value)
        parts = [name + written(part) for name, part in _parts(value)]
        comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
        return first + ", ".join(parts) + comma + last
    return repr(value)


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, Call):
        return f"{value.target}(", ")"
    if isinstance(value, dict):
        return "{", "}"
    return ("[", "]") if isinstance(value, list) else ("(", ")")


def _parts(value: Any) -> list[tuple[str, Any]]:
    """The elements of a value, each with what is written before it."""
    if isinstance(value, Call):
        named = [(f"{name}=", each) for name, each in value.keywords.items()]
        rest = [("**", Code(value.rest))] if value.rest else []
        return [*(("", each) for each in value.values), *named, *rest]
    if isinstance(value, dict):
        return [(f"{written(name)}: ", each) for name, each in value.items()]
    if isinstance(value, list | tuple):
        return [("", each) for each in value]
    return []
