"""A calculation on the screen: what comes out, how it was found, what to know of it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from netwright.arithmetic.working import Fact, Line, Rows, Worked, plain
from netwright.cli.columns import pad, screen_width, table, width, wrap
from netwright.core.cache import amount
from netwright.core.escaping import terminal
from netwright.core.languages import say


def worked_lines(worked: Worked, *, quiet: bool = False) -> Iterator[str]:
    """The facts; unless `quiet` the tables, the working and the notes as well."""
    labels = [each.label.localized() for each in worked.facts]
    column = max(map(width, labels), default=0)
    for label, fact in zip(labels, worked.facts, strict=True):
        yield f"{pad(label, column)}  {terminal(shown(fact))}"
    if quiet:
        return
    for rows in worked.tables:
        if rows.rows:
            yield ""
            yield from _table(rows)
    if worked.working:
        yield ""
        for each in worked.working:
            yield from _working(each)
    if worked.notes:
        yield ""
    for note in worked.notes:
        first, *more = wrap(
            note.escaped(terminal).localized(), screen_width() - 8
        )  # 6, and a wide stop
        yield f"NOTE  {first}"
        yield from (" " * 6 + line for line in more)


def worked_document(name: str, worked: Worked) -> dict[str, Any]:
    """The same as data: facts by their names, numbers as numbers."""
    return {
        "calculation": name,
        **{fact.name: _data(fact.value) for fact in worked.facts},
        **{
            rows.name: [
                {head or "number": _data(cell) for head, cell in zip(rows.head, row, strict=True)}
                for row in rows.rows
            ]
            for rows in worked.tables
        },
        "working": [
            {
                "name": each.name,
                "formula": each.formula,
                "numbers": each.numbers,
                "value": plain(each.value),
            }
            for each in worked.working
        ],
        "notes": [str(each) for each in worked.notes],
    }


def shown(fact: Fact) -> str:
    """The value of a fact as people read it.

    >>> from netwright.core.languages import Phrase
    >>> shown(Fact(name="macs", label=Phrase("multiply-adds"), value=118013952))
    '118,013,952 (118.0 M)'
    """
    value = fact.value
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, tuple) and type(value).__str__ is tuple.__str__:
        return "x".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Fraction) and value.denominator != 1:
        return f"{value} = {float(value):.4f}" if value < 1 else f"{float(value):g}"
    if isinstance(value, int | Fraction):
        return f"{int(value):,}" + _rounded(int(value), fact.unit)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def _rounded(value: int, unit: str) -> str:
    if unit == "bytes":
        return f" ({amount(value)})"
    for name, size in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if value >= size:
            share = value / size
            places = 1 if share >= 100 else 2 if share >= 10 else 3
            return f" ({share:,.{places}f} {name})"
    return ""


def _working(each: Line) -> Iterator[str]:
    start = f"  {each.name} = "
    room = screen_width() - 2
    first, *more = wrap(each.formula, room - width(start))
    yield start + first
    indent = " " * (width(start) - 2)
    yield from (indent + "  " + line for line in more)
    value = plain(each.value)
    result = f"= {value:,}" if isinstance(value, int) else f"= {value:.6g}"
    if len(indent) + len(each.numbers) + len(result) + 3 <= room:
        yield f"{indent}= {each.numbers} {result}"
        return
    first, *more = wrap("= " + each.numbers, room - len(indent))
    yield indent + first
    yield from (indent + "  " + line for line in more)
    yield indent + result


def _table(rows: Rows) -> list[str]:
    cells = [[_cell(each) for each in row] for row in rows.rows]
    return ["  " + line for line in table(cells, head=[say(h) for h in rows.head], margin=2)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{float(value):.3g}" if isinstance(value, float | Fraction) else str(value)


def _data(value: Any) -> Any:
    if isinstance(value, Fraction):
        return plain(value)
    if isinstance(value, tuple | list):
        return [_data(each) for each in value]
    return value
