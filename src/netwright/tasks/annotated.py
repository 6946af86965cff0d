"""A recipe as YAML for a person to edit: every setting, with its meaning and range beside it.

What the recipe says itself stands there as it is. What it leaves at its default stands behind a
`#`: the file shows all that could be said and still says no more than the recipe does, so that a
default that depends on the data (`batch` on a small set) goes on depending on them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.augment import AUGMENTATIONS
from netwright.core import yaml_files
from netwright.core.config import Setting, settings_of
from netwright.core.languages import say
from netwright.core.registry import Registry
from netwright.data.sources import SOURCES
from netwright.nn.initialisers import INITIALISERS
from netwright.tasks.assembling import GROUPS, Group
from netwright.tasks.recipe import General
from netwright.tasks.settings import Resolved

LEFT_OPEN = "left open"
"""The origin of DATA in a recipe that leaves its data to the command line."""

_WIDTH = 100
_COMMENT = 34  # where comments begin


def annotated_yaml(resolved: Resolved, *, title: str, command: str) -> str:
    """`resolved` as commented YAML, which `netwright train --config` reads back as the same recipe.

    `title` says what it is a copy of, `command` how it is run; both are put at the top.
    """
    head = [
        title,
        say("Run it:  {command}", command=command),
        say("A line like #seed: 0 is a setting at its default: take the # away to change it."),
    ]
    lines = [f"# {line}" for line in head]
    lines += ["", *_written(_rows(resolved, "", settings_of(General)))]
    for name in GROUPS:
        if name == "init" and resolved.recipe.init is None:
            lines += ["", *_written([_no_initialiser()])]
        else:
            lines += ["", *_group(name, _rows(resolved, f"{name}.", _settings(resolved, name)))]
        if name == "sched":
            lines += ["", *_augmentations(resolved)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Row:
    """One line: `said` is false for a default, which stands behind a `#`."""

    name: str
    value: Any
    said: bool
    comment: str = ""


def _rows(resolved: Resolved, prefix: str, known: Sequence[Setting]) -> list[_Row]:
    """The settings under `prefix`: those that are known, in their order, then what else there is
    (the settings of a factory or of a layout are known to it alone)."""
    about = {each.name: _meaning(each) for each in known}
    inside = {
        name.removeprefix(prefix): value
        for name, value in resolved.values.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    if prefix:
        about = {"name": _choice(prefix.rstrip(".")), **about}
    names = [each for each in about if each in inside]
    names += [each for each in inside if each not in about]
    return [
        _Row(
            name,
            inside[name],
            resolved.origins[prefix + name] not in ("default", LEFT_OPEN),
            about.get(name, ""),
        )
        for name in names
    ]


def _settings(resolved: Resolved, name: str) -> list[Setting]:
    """The settings of a group with the leaf that the recipe chooses in it."""
    group: Group = GROUPS[name]
    found = list(settings_of(group.common)) if group.common is not None else []
    chosen = resolved.values.get(f"{name}.name")
    if group.family is not None and chosen in group.family:
        options = group.family.get(str(chosen)).options
        inside = {each.name for each in found}
        mine = settings_of(options) if options is not None else []
        found += [each for each in mine if each.name not in inside]
    return [each for each in found if (name, each.name) != ("data", "source")]


def _group(name: str, rows: list[_Row]) -> Iterator[str]:
    """A nested group. One that says nothing says its first line all the same, for an empty group
    is no group; data that are left open must stay so."""
    if not any(row.said for row in rows):
        if name == "data":
            yield from _written([_Row("data", "DATA", said=False, comment=_choice("data"))])
            return
        rows = [_Row(rows[0].name, rows[0].value, said=True, comment=rows[0].comment), *rows[1:]]
    yield f"{name}:"
    yield from _written(rows, indent="  ")


def _augmentations(resolved: Resolved) -> Iterator[str]:
    rows = []
    for entry in sorted(AUGMENTATIONS, key=lambda each: each.facts.get("order", 0)):
        if entry.options is not None:
            about = settings_of(entry.options)[0]
            said = f"aug.{entry.name}" in resolved.values
            value = resolved.values.get(f"aug.{entry.name}", about.default)
            rows.append(_Row(entry.name, value, said, _meaning(about)))
    yield "aug:"  # with nothing in it, it is none
    yield from _written(rows, indent="  ")


def _no_initialiser() -> _Row:
    return _Row("init", "none", said=False, comment=_choice("init"))


def _choice(name: str) -> str:
    """What the `name` of a group may be."""
    family: Registry[Any] | None = GROUPS[name].family
    if family is None:
        return ""
    known = ", ".join(family.names())
    if name == "data":
        known = ", ".join(each.name for each in SOURCES if each.facts.get("built_in"))
        return say("one of {known}, a folder, a file, or file.py:factory", known=known)
    if family is INITIALISERS:
        return say("the network's own first weights, or those of {known}", known=known)
    if GROUPS[name].open_names:
        return say("one of those that {listing} lists, or file.py:factory", listing=family.listing)
    return say("one of {choices}", choices=known)


def _meaning(each: Setting) -> str:
    unit = f" ({each.unit})" if each.unit else ""
    tells = each.bounds or each.choices or each.annotation not in (str, bool)
    return f"{say(each.help)}{unit}" + (f"; {each.expected.localized()}" if tells else "")


def _written(rows: Sequence[_Row], *, indent: str = "") -> Iterator[str]:
    """The lines: a comment stands behind its setting, or above where there is no room."""
    for row in rows:
        text = yaml_files.write({row.name: row.value}, comments={}).rstrip("\n")
        line = f"{indent}{text}" if row.said else f"{indent}#{text}"
        if row.comment and len(f"{line:<{_COMMENT}}# {row.comment}") <= _WIDTH:
            yield f"{line:<{_COMMENT}}# {row.comment}"
        else:
            for part in textwrap.wrap(row.comment, _WIDTH - len(indent) - 2):
                yield f"{indent}# {part}"
            yield line
