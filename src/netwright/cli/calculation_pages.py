"""The list of calculations, and the page of one: its settings, an example, its source."""

from __future__ import annotations

from typing import Any

from netwright.arithmetic.calculations import CALCULATIONS, TOPICS, short_names, usage
from netwright.cli.columns import screen_width, table, wrap
from netwright.core.config import Setting, settings_of, show
from netwright.core.languages import say
from netwright.core.registry import Entry

PARTS = {
    "params": "Parameters alone, of another calculation.",
    "flops": "Multiply-adds and FLOPs alone, of another calculation.",
}


def list_lines() -> list[str]:
    """Every calculation with its line, and how to go on."""
    rows = [(each.name, say(each.doc)) for each in CALCULATIONS]
    rows += [(name, say(doc)) for name, doc in PARTS.items()]
    return [
        *table(sorted(rows)),
        "",
        *wrap(say("Its settings: {command}", command="netwright calc NAME --help"), screen_width()),
    ]


def list_document() -> dict[str, Any]:
    return {
        "calculations": [
            {
                "name": each.name,
                "doc": each.doc,
                "example": each.facts["example"],
                "settings": [
                    {"name": s.name, "short": short_names(each, s.name), "help": s.help,
                     "expected": str(s.expected)}
                    for s in settings_of(_options(each))
                ],
            }
            for each in CALCULATIONS
        ],
        "parts": list(TOPICS),
    }  # fmt: skip


def calculation_page(name: str) -> list[str] | None:
    """The page of one calculation; None for a part of others, which has none of its own."""
    if name in TOPICS:
        return None
    entry = CALCULATIONS.get(name)
    rows = [_row(entry, each) for each in settings_of(_options(entry))]
    lines = [
        say("Usage: {usage}", usage=usage(entry)),
        "",
        *wrap(say(entry.doc), screen_width()),
        "",
        say("Settings"),
        *("  " + line for line in table(rows, margin=2)),
        "",
        say("Examples"),
        f"  {entry.facts['example']}",
    ]
    if paper := entry.facts.get("paper"):
        lines += ["", say("Source"), *("  " + line for line in wrap(paper, screen_width() - 2))]
    return lines


def _options(entry: Entry[Any]) -> type:
    assert entry.options is not None
    return entry.options


def _row(entry: Entry[Any], field: Setting) -> tuple[str, str, str]:
    names = [*short_names(entry, field.name), field.name]
    if entry.facts.get("thing") == field.name:
        names.insert(0, field.name.upper())
    default = "" if field.default is None else show(field.default)
    if isinstance(field.default, tuple):
        default = str(field.default)
    return ", ".join(names), default, say(field.help)
