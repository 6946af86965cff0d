"""`netwright explain NAME`: the page of anything that has a name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.commands.ls import FAMILIES
from netwright.cli.screen import Call
from netwright.core.errors import SettingError, UnknownNameError, fold, nearest
from netwright.core.registry import Registry

RECIPES = "recipes"

LIGHT = ("conditions",)
"""Families that are read without torch, whose names no other family has: they are asked first."""


@COMMANDS.register(
    "explain",
    group="Look up",
    usage="NAME [--family FAMILY]",
    about="NAME is a model, an adapter, a data set, an activation, a normalisation, a loss, an "
    "initialiser, an optimizer, a schedule, an augmentation, a task, a format, a recipe or a "
    "condition of the doctor. "
    "Where two families have the name, write it as FAMILY/NAME.",
    examples=(
        "netwright explain adamw",
        "netwright explain schedules/constant",
        "netwright explain missing-nonlinearity",
        "netwright explain resnet18 --json",
    ),
)
def explain(
    name: Annotated[str, Parameter(help="what to explain: see above")],
    /,
    *,
    family: Annotated[
        str | None, Parameter(metavar="FAMILY", help="where the name is looked up, as in ls")
    ] = None,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Tell what a name stands for, with its settings."""
    wanted, name = _family(name, family)
    places = [wanted] if wanted else [each for each in LIGHT if name in _registry(each)]
    known = {each: _names(each) for each in places or [*FAMILIES, RECIPES]}
    found = [each for each, names in known.items() if fold(name) in map(fold, names)]
    if not found:
        raise _unknown(name, known, wanted)
    if len(found) > 1:
        spelled = [f"{each}/{name}" for each in found]
        raise SettingError(
            '"{name}" is in several families.',
            hint="Write one of {spelled}.",
            name=name,
            spelled=", ".join(spelled),
        )
    if found[0] == RECIPES:
        _recipe(name, call)
        return 0
    from netwright.cli.leaf_pages import leaf_document, leaf_page  # brings pydantic

    entry = _registry(found[0]).get(name)
    call.result(leaf_document(found[0], entry), leaf_page(found[0], entry))
    return 0


def _family(name: str, family: str | None) -> tuple[str | None, str]:
    """The family that is meant, None for any, and the name in it."""
    if family is None and "/" in name:
        family, _, name = name.partition("/")
    if family is None:
        return None, name
    for each in (*FAMILIES, RECIPES):
        if fold(family) == each:
            return each, name
    for each in (*LIGHT, *FAMILIES, RECIPES):
        kind = _registry(each).kind if each in FAMILIES else "recipe"
        if fold(family) == fold(kind):
            return each, name
    raise UnknownNameError("family", family, [*FAMILIES, RECIPES])


def _registry(family: str) -> Registry[Any]:
    module, attribute = FAMILIES[family]
    registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
    return registry


def _names(family: str) -> list[str]:
    if family == RECIPES:
        from netwright.tasks.settings import recipe_names

        return recipe_names()
    return _registry(family).names()


def _unknown(name: str, known: Mapping[str, list[str]], family: str | None) -> SettingError:
    if family is not None:
        listing = f"netwright ls {family}"
        kind = "recipe" if family == RECIPES else _registry(family).kind
        return UnknownNameError(kind, name, known[family], listing=listing)
    places: dict[str, list[str]] = {}
    for each, names in known.items():
        for one in names:
            places.setdefault(one, []).append(each)
    near = [f"{each} ({', '.join(places[each])})" for each in nearest(name, places)]
    return SettingError(
        'Nothing is called "{name}".',
        hint="Nearest: {near}." if near else "List the names: netwright ls {families}",
        name=name,
        near=", ".join(near),
        families="|".join(known),
    )


def _recipe(name: str, call: Call) -> None:
    """A recipe is explained by what it sets, and by the words its file begins with."""
    from netwright.cli.recipe_pages import recipe_document, recipe_page  # brings torch
    from netwright.tasks.settings import read_config, recipe_names

    spelled = next(each for each in recipe_names() if fold(each) == fold(name))
    resolved = read_config(spelled)
    call.result(recipe_document(spelled, resolved), recipe_page(spelled, resolved))
