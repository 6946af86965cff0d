"""`netwright config show|check|diff|schema`: settings before they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from netwright.cli.columns import table
from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.cli.things import check_things, exists
from netwright.core.errors import SettingError, nearest
from netwright.core.escaping import terminal
from netwright.core.languages import escape_values, say

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.settings import Resolved


@COMMANDS.register(
    "config",
    group="Look up",
    usage="show [DATA] [MODEL] | check FILE | diff A B | schema",
    settings="with show: any setting, to see what it changes",
    about="show prints every setting of a recipe and where its value comes from; check says OK or "
    "lists every fault of a file; diff tells in what two files, runs or recipes differ; schema "
    "prints a JSON schema, for the completion of editors.",
    examples=(
        "netwright config show digits optim.lr=0.1",
        "netwright config check my.yaml",
        "netwright config diff latest digits",
        "netwright config schema > netwright.schema.json",
    ),
)
def config(
    action: Annotated[
        Literal["show", "check", "diff", "schema"], Parameter(help="show, check, diff or schema")
    ],
    /,
    *things: Annotated[str, Parameter(help="files, runs or recipes")],
    config: Annotated[
        str | None, Parameter(metavar="FILE", help="a recipe: a YAML or JSON file, or a name")
    ] = None,
    seed: Annotated[int | None, Parameter(metavar="N", help="short for seed=N")] = None,
    device: Annotated[
        str | None, Parameter(metavar="NAME", help="short for device=NAME: auto, cpu, cuda")
    ] = None,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Show, check and compare settings."""
    most, least = {"show": (2, 0), "check": (1, 1), "diff": (2, 2), "schema": (0, 0)}[action]
    if not least <= len(things) <= most:
        raise SettingError(
            "netwright config {action} takes {expected}, not {count}.",
            hint="Usage: {usage}",
            action=action,
            expected=f"{least}..{most}" if least < most else str(most),
            count=len(things),
            usage=_USAGE[action],
        )
    if action != "show" and (call.settings or config or seed is not None or device):
        raise SettingError(
            "Settings and options go with netwright config show only.",
            hint="Usage: {usage}",
            usage=_USAGE[action],
        )
    if action == "show":
        shorthands = {"seed": seed, "device": device}
        _show(things, config, {k: v for k, v in shorthands.items() if v is not None}, call)
    elif action == "check":
        _check(things[0], call)
    elif action == "diff":
        _diff(things[0], things[1], call)
    else:
        _schema(call)
    return 0


_USAGE = {
    "show": "netwright config show [DATA|FILE|RUN] [MODEL] [key=value ...]",
    "check": "netwright config check FILE",
    "diff": "netwright config diff A B",
    "schema": "netwright config schema",
}


def _show(
    things: tuple[str, ...], config: str | None, shorthands: dict[str, object], call: Call
) -> None:
    from netwright.core.config import show as written  # brings pydantic, which --help can spare
    from netwright.tasks.settings import resolve

    data = things[0] if things else None
    model = things[1] if len(things) > 1 else None
    if data is not None and config is None and _is_recipe(data):
        config = recipe_file(data)
        data = None
    check_things(data, model, call.settings)
    resolved = resolve(
        data=data, model=model, config=config, settings=call.settings, shorthands=shorthands
    )
    _tell_notes(resolved, call)
    document = {
        "settings": {
            name: {"value": value, "origin": resolved.origins[name]}
            for name, value in resolved.values.items()
        }
    }
    rows = [
        (name, written(value), say(resolved.origins[name]))
        for name, value in resolved.values.items()
    ]
    call.result(document, table(rows))


def _check(spec: str, call: Call) -> None:
    """Every fault is in the one error that reading raises."""
    from netwright.tasks.settings import read_config

    resolved = read_config(recipe_file(spec))
    _tell_notes(resolved, call)
    count = len(resolved.values)
    line = say("OK    {path}: {count} settings, all allowed", path=terminal(spec), count=count)
    call.result({"file": spec, "ok": True, "settings": count}, [line])


def _diff(left: str, right: str, call: Call) -> None:
    from netwright.core.config import show as written
    from netwright.tasks.settings import difference, read_config

    rows = difference(read_config(recipe_file(left)), read_config(recipe_file(right)))
    document = {"differences": [{"name": n, "left": a, "right": b} for n, a, b in rows]}
    head = [say("setting"), terminal(left), terminal(right)]
    lines = table([(n, written(a), written(b)) for n, a, b in rows], head=head)
    call.result(document, lines or [say("no difference")])


def _schema(call: Call) -> None:
    from netwright.tasks.assembling import settings_schema

    # The schema is the result with or without --json, and carries no format key of ours.
    print(json.dumps(settings_schema(), indent=2, ensure_ascii=False))


def _is_recipe(spec: str) -> bool:
    """Whether `config show SPEC` means a file of settings or a run, not data to train on."""
    from netwright.records.run import is_run

    path = Path(spec)
    return path.suffix in {".yaml", ".yml"} or spec == "latest" or is_run(path)


def recipe_file(spec: str) -> str:
    """A run by name is its file of settings; the rest is found by the reader of recipes."""
    from netwright.records.run import find_run, list_runs
    from netwright.tasks.settings import recipe_names

    path, recipes = Path(spec), recipe_names()
    if path.suffix in {".yaml", ".yml", ".json"} or spec in recipes:
        return spec
    if exists(spec) and path.is_file():
        return spec
    runs = [run.name for run in list_runs()]
    if spec == "latest" or exists(spec) or any(name.startswith(spec) for name in runs):
        return str(find_run(spec).path / "config.yaml")
    near = nearest(spec, [*recipes, *runs, "latest"])
    raise SettingError(
        'Nothing is called "{name}": no recipe, no file and no run.',
        hint="Nearest: {near}." if near else _LISTS,
        name=spec,
        near=", ".join(near),
    )


_LISTS = "List them: netwright ls recipes, netwright ls runs"


def _tell_notes(resolved: Resolved, call: Call) -> None:
    for note in resolved.notes:
        call.note(note.word, note.template, **escape_values(note.values, terminal))
