"""The page of one leaf, whatever its family: what it is, its facts, its settings, how to choose it.

The page is plain text as wide as the screen. Its labels, its first line and its headings are in
the language of the user; the rest of a docstring is English, which the page says in another one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netwright.cli.columns import screen_width, table, wrap
from netwright.core.config import Setting, settings_of, show
from netwright.core.escaping import terminal
from netwright.core.languages import Phrase, current, say
from netwright.core.registry import Entry

CHOSEN: Mapping[str, tuple[str, str]] = {
    "models": ("netwright train DATA {name}", "model."),
    "adapters": ("netwright train DATA model.weights={name}:FILE", ""),
    "data": ("netwright train {name}", "data."),
    "activations": ("netwright train DATA MODEL model.act={name}", ""),
    "normalisations": ("netwright train DATA MODEL model.norm={name}", ""),
    "losses": ("netwright train DATA loss={name}", "loss."),
    "initialisers": ("netwright train DATA init={name}", "init."),
    "optimizers": ("netwright train DATA optim={name}", "optim."),
    "schedules": ("netwright train DATA sched={name}", "sched."),
    "augmentations": ("netwright train DATA aug.{name}={value}", "aug."),
    "tasks": ("netwright train DATA task={name}", ""),
    "formats": ("netwright export RUN FILE --format {name}", ""),
    "conditions": ("netwright inspect MODEL", ""),
    "recipes": ("netwright train --config {name}", ""),
}
"""By family: how a leaf is chosen (a condition: looked for), and what stands before the names of
its settings."""


def leaf_page(family: str, entry: Entry[Any]) -> list[str]:
    """The lines of the page of `entry`."""
    head = "   ".join([entry.name, say(family), entry.target.__module__])
    lines = [
        *wrap(head, screen_width()),
        "",
        *_prose(inspect.getdoc(entry.target) or "", screen_width()),
    ]
    facts = [(_label(name), _fact(value)) for name, value in plain_facts(entry).items()]
    if facts:
        lines += ["", say("Facts"), *_indented(table(facts, margin=2))]
    settings = settings_of(entry.options) if entry.options is not None else []
    if settings:
        lines += ["", say("Settings"), *_indented(_settings(family, settings))]
    if entry.facts.get("reads") == ():
        return lines  # a condition that is known and has no rule: nothing looks for it yet
    last = say("Look for it") if family == "conditions" else say("Choose it")
    return [*lines, "", last, f"  {chosen_with(family, entry)}"]


def leaf_document(family: str, entry: Entry[Any]) -> dict[str, Any]:
    """The same as data."""
    settings = settings_of(entry.options) if entry.options is not None else []
    return {
        "name": entry.name,
        "family": family,
        "module": entry.target.__module__,
        "doc": inspect.getdoc(entry.target) or "",
        "facts": plain_facts(entry),
        "settings": [
            {
                "name": CHOSEN[family][1] + each.name,
                "default": each.default,
                "range": each.range,
                "unit": each.unit,
                "help": each.help,
            }
            for each in settings
        ],
        "chosen_with": chosen_with(family, entry),
    }


def plain_facts(entry: Entry[Any]) -> dict[str, Any]:
    """What a leaf publishes about itself, without functions and classes."""
    plain = (bool, int, float, str, list, tuple)
    return {
        name: value
        for name, value in entry.facts.items()
        if isinstance(value, plain) and value != ()
    }


def chosen_with(family: str, entry: Entry[Any]) -> str:
    """A command line that chooses this leaf."""
    value = "..."
    if entry.options is not None and settings_of(entry.options):
        value = "true" if settings_of(entry.options)[0].default is False else "..."
    return CHOSEN[family][0].format(name=entry.name, value=value)


def setting_rows(family: str, settings: Sequence[Setting]) -> Iterator[tuple[str, str, str]]:
    """Name, default, and meaning with range, of each setting."""
    for each in settings:
        unit = f" ({each.unit})" if each.unit else ""
        meaning = f"{say(each.help)}{unit}; {each.expected.localized()}"
        yield CHOSEN[family][1] + each.name, show(each.default), meaning


def _settings(family: str, settings: Sequence[Setting]) -> list[str]:
    head = [say("setting"), say("default"), say("meaning")]
    return table(setting_rows(family, settings), head=head, margin=2)


def _prose(text: str, cells: int) -> Iterator[str]:
    """A docstring for the screen: its first line spoken, paragraphs filled anew, code and lists
    line by line."""
    first, _, rest = text.partition("\n")
    yield from wrap(say(first), cells)
    if rest.strip() and current() != "en":
        yield ""
        yield from wrap(say("The text below is in English."), cells)
    paragraph: list[str] = []
    for line in rest.splitlines():
        is_text = bool(line) and not line.startswith((" ", ">>>", "...", "- ", "* ", "#", "|"))
        in_code = bool(paragraph) and paragraph[0].startswith(">>>")
        if is_text and not in_code:
            paragraph.append(line)
            continue
        if in_code and line:
            paragraph.append(line)
            continue
        yield from _flushed(paragraph, cells)
        paragraph = [line] if line.startswith(">>>") else []
        if not paragraph:
            yield terminal(line)
    yield from _flushed(paragraph, cells)


def _flushed(paragraph: list[str], cells: int) -> Iterator[str]:
    if paragraph and paragraph[0].startswith(">>>"):
        yield from (terminal(line) for line in paragraph)
    elif paragraph:
        heading, colon, text = " ".join(paragraph).partition(": ")
        if colon and heading in _HEADINGS:
            spoken = _HEADINGS[heading].localized()
            blank = "" if spoken.endswith("：") else " "  # a wide colon has its own
            yield from wrap(spoken + blank + terminal(text), cells)
        else:
            yield from wrap(terminal(" ".join(paragraph)), cells)


_HEADINGS = {
    "Why it hurts": Phrase("Why it hurts:"),
    "Evidence": Phrase("Evidence:"),
    "Would be wrong if": Phrase("Would be wrong if:"),
    "Not to be confused with": Phrase("Not to be confused with:"),
    "Treatment": Phrase("Treatment:"),
    "When to use it": Phrase("When to use it:"),
    "What goes wrong": Phrase("What goes wrong:"),
    "Source": Phrase("Source:"),
}
"""What paragraphs of a docstring begin with."""


_LABELS = {
    "params": "parameters",
    "macs": "multiply-adds of one image",
    "params_with_aux": "parameters with its heads half-way",
    "input": "published for images of",
    "classes": "classes",
    "smallest": "smallest side of an image",
    "standard_smallest": "smallest side with the standard stem",
    "paper": "paper",
    "paper_params": "parameters in the paper",
    "paper_macs": "multiply-adds in the paper",
    "differs": "why they differ",
    "torchvision": "called in torchvision",
    "images": "images",
    "shape": "shape of an image",
    "batch": "images in a step",
    "metric": "judged by",
    "watches": "watches",
    "order": "place among the others",
    "when": "can be proved",
    "group": "treated among",
    "severity": "at worst a",
    "yields_to": "yields to",
}
"""What facts are called on a page; one that is not here is called as its leaf calls it."""


def _label(name: str) -> str:
    return say(_LABELS[name]) if name in _LABELS else name.replace("_", " ")


def _fact(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple) and value and all(isinstance(each, int) for each in value):
        return "x".join(map(str, value))  # as --input is written
    return show(say(value) if isinstance(value, str) and value else value)


def _indented(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]
