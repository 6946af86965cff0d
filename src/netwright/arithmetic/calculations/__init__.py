"""What `netwright calc` can calculate: one file for each, found by name.

A calculation is a function from its options to a `Worked` result. Its facts: `example`, a command
that shows it; `thing`, the option that may be given as a word of its own instead of `name=value`;
`required`, the options nothing can be said without; `paper`, where the formula is from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netwright.arithmetic.working import Worked
from netwright.core.errors import SettingError, nearest
from netwright.core.registry import Entry, Registry

CALCULATIONS: Registry[Callable[[Any], Worked]] = Registry(
    "calculation", "netwright.arithmetic.calculations", listing="netwright calc"
)

SHORT = {
    "kernel": "kernel_size",
    "in": "in_channels",
    "out": "out_channels",
    "hidden": "hidden_size",
    "layers": "num_layers",
    "heads": "num_heads",
    "dim": "embed_dim",
    "size": "output_size",
}
"""Short names of settings; each stands for the long one where the calculation has that, and not
itself the short one."""

TOPICS = {"params": ("params",), "flops": ("macs",)}
"""Calculations that show a part of another one: `netwright calc params conv ...`."""


def calculate(name: str, things: Sequence[str], settings: Mapping[str, str]) -> Worked:
    """The calculation called `name`, with what was typed behind it.

    Raises `SettingError` for a name, a setting or a value that is not known or does not fit.

    >>> calculate("pool", [], {"input": "112", "kernel": "3", "stride": "2"})["output"]
    (55, 55)
    """
    if name in TOPICS:
        return _part(name, things, settings)
    entry = CALCULATIONS.get(name)
    values = _spelled(entry, settings)
    thing = entry.facts.get("thing")
    if things and (thing is None or thing in values or len(things) > 1):
        raise SettingError(
            'netwright calc {name} does not take "{thing}".',
            hint="Usage: {usage}",
            name=entry.name,
            thing=things[-1] if thing is not None else things[0],
            usage=usage(entry),
        )
    if thing is not None and things:
        values[thing] = things[0]
    missing = [each for each in entry.facts.get("required", ()) if each not in values]
    if missing:
        raise missing_settings(missing, entry.facts["example"])
    from netwright.core.config import build  # brings pydantic, which a list of names can spare

    assert entry.options is not None
    return entry.target(build(entry.options, values))


def usage(entry: Entry[Any]) -> str:
    """`netwright calc receptive-field LAYERS [key=value ...]`."""
    thing = entry.facts.get("thing")
    words = ["netwright", "calc", entry.name, *([thing.upper()] if thing else [])]
    return " ".join([*words, "[key=value ...]"])


def missing_settings(names: Sequence[str], example: str) -> SettingError:
    """What a calculation cannot do without, with an example that has it."""
    shown = {long: short for short, long in SHORT.items() if short != "size"}
    return SettingError(
        "Not given: {names}.",
        hint="For example: {example}",
        names=", ".join(f"{shown.get(name, name)}=" for name in names),
        example=example,
    )


def short_names(entry: Entry[Any], name: str) -> list[str]:
    """The short names of one setting of a calculation."""
    fields = _fields(entry)
    return [short for short, long in SHORT.items() if long == name and short not in fields]


def _fields(entry: Entry[Any]) -> list[str]:
    assert entry.options is not None
    return [each.name for each in dataclasses.fields(entry.options)]


def _spelled(entry: Entry[Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings under their long names; `none` is no value."""
    fields, found = _fields(entry), dict[str, Any]()
    for typed, value in settings.items():
        name = typed.replace("-", "_")
        if name not in fields and SHORT.get(name) in fields:
            name = SHORT[name]
        if name not in fields:
            shorts = [each for field in fields for each in short_names(entry, field)]
            raise _unknown(typed, sorted([*fields, *shorts]))
        if name in found:
            raise SettingError("{name} is given twice.", hint="Give it once.", name=typed)
        found[name] = None if value.lower() == "none" else value
    return found


def _unknown(name: str, known: Sequence[str]) -> SettingError:
    near = nearest(name, known)
    return SettingError(
        "{name}: no such setting. Did you mean {near}?"
        if near
        else "{name}: no such setting. Known: {known}.",
        name=name,
        near=" or ".join(near),
        known=", ".join(known),
    )


def _part(name: str, things: Sequence[str], settings: Mapping[str, str]) -> Worked:
    if not things:
        raise SettingError(
            "netwright calc {name} needs the name of a layer.",
            hint="For example: netwright calc {name} conv in=64 out=128 kernel=3 input=56",
            name=name,
        )
    whole = calculate(things[0], things[1:], settings)
    part = whole.only(TOPICS[name])
    if not part.facts:
        raise SettingError(
            "There is nothing to count: channels or sizes are missing."
            if name == "params"
            else "There is nothing to count: channels or the input are missing.",
            hint="For example: {example}",
            example=CALCULATIONS.get(things[0]).facts["example"],
        )
    return part
