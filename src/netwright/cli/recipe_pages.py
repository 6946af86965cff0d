"""The page of one recipe: the words its file begins with, and what it sets."""

from __future__ import annotations

from typing import Any

from netwright.cli.columns import screen_width, table, wrap
from netwright.core.config import show
from netwright.core.languages import say
from netwright.tasks.annotated import LEFT_OPEN
from netwright.tasks.copying import recipe_words, train_command
from netwright.tasks.settings import Resolved


def recipe_page(name: str, resolved: Resolved) -> list[str]:
    """The lines of the page of a recipe: the words its file begins with, and what it sets."""
    rows = [(each, show(value)) for each, value in _said(resolved).items()]
    return [
        "   ".join([name, say("recipes")]),
        "",
        *(part for line in recipe_words(name) for part in wrap(line, screen_width())),
        "",
        say("Settings"),
        *("  " + line for line in table(rows)),
        "",
        say("Choose it"),
        f"  {train_command(resolved, 'yaml', name)}",
        "",
        say("Copy it"),
        f"  netwright cp {name}",
    ]


def recipe_document(name: str, resolved: Resolved) -> dict[str, Any]:
    """The same as data."""
    return {
        "name": name,
        "family": "recipes",
        "doc": "\n".join(recipe_words(name)),
        "settings": _said(resolved),
    }


def _said(resolved: Resolved) -> dict[str, Any]:
    silent = ("default", LEFT_OPEN)
    return {n: v for n, v in resolved.values.items() if resolved.origins[n] not in silent}
