"""Help pages: drawn from the signatures of the commands, in the language of the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netwright.cli.columns import screen_width, table, wrap
from netwright.cli.commands import COMMANDS, GROUPS
from netwright.cli.parsing import Command, arguments, usage
from netwright.core.languages import say


def overview() -> list[str]:
    """The page of `netwright --help`: every command with one line, by group."""
    lines = [
        say("Usage: netwright VERB THING [MORE] [key=value ...] [--flag]"),
        "",
        *_paragraph(say("A workbench for vision networks: train one, use it, and see why.")),
    ]
    for group in GROUPS:
        rows = [(each.name, say(each.doc)) for each in COMMANDS if each.facts["group"] == group]
        lines += ["", say(group), *_indented(table(rows, margin=2))]
    lines += ["", say("Everywhere"), *_indented(table(_everywhere()))]
    lines += ["", say("Start with"), *_indented(["netwright env", "netwright train digits"])]
    return lines


def page(command: Command, tokens: Sequence[str] = ()) -> list[str]:
    """The page of `netwright COMMAND --help`; a command with parts has one for each, named first
    of the `tokens` behind it."""
    part = command.facts["part_page"](tokens) if tokens and "part_page" in command.facts else None
    if part is not None:
        return part
    things, options = [], []
    for each in arguments(command):
        names = ", ".join(each.names)
        text = say(each.parameter.help or "")
        if names.startswith("-"):
            options.append((f"{names}{_value(each)}", text))
        else:
            things.append((names, text))
    if command.facts.get("settings"):
        things.append(("key=value", say(command.facts["settings"])))
    lines = [say("Usage: {usage}", usage=usage(command)), "", *_paragraph(say(command.doc))]
    if command.facts.get("about"):
        lines += ["", *_paragraph(say(command.facts["about"]))]
    for title, rows in (
        (say("Things"), things),
        (say("Options"), options),
        (say("Everywhere"), _everywhere()),
    ):
        if rows:
            lines += ["", title, *_indented(table(rows, margin=2))]
    lines += ["", say("Examples"), *_indented(command.facts["examples"])]
    return lines


def _everywhere() -> list[tuple[str, str]]:
    return [
        ("--json", say("one JSON document on standard output, nothing else there")),
        ("--quiet, -q", say("the result only")),
        ("--verbose, -v", say("more on standard error")),
        ("--lang en|zh", say("language of the messages")),
        ("--help, -h", say("this page, or that of a command")),
        ("--version", say("the version of Netwright")),
    ]


def _value(argument: object) -> str:
    metavar = getattr(getattr(argument, "parameter", None), "metavar", None)
    return f" {metavar}" if metavar else ""


def _paragraph(text: str) -> list[str]:
    return wrap(text, screen_width())


def _indented(lines: Iterable[str]) -> list[str]:
    return ["  " + line for line in lines]
