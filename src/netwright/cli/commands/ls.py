"""`netwright ls FAMILY|runs [QUERY]`: what there is to choose from, and what was trained."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from netwright.cli.columns import table
from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import UnknownNameError, fold
from netwright.core.languages import say
from netwright.core.registry import Entry, Registry

FAMILIES: Mapping[str, tuple[str, str]] = {
    "models": ("netwright.models", "MODELS"),
    "adapters": ("netwright.models.adapters", "ADAPTERS"),
    "data": ("netwright.data.sources", "SOURCES"),
    "activations": ("netwright.nn.activations", "ACTIVATIONS"),
    "normalisations": ("netwright.nn.normalisation", "NORMS"),
    "losses": ("netwright.nn.losses", "LOSSES"),
    "initialisers": ("netwright.nn.initialisers", "INITIALISERS"),
    "optimizers": ("netwright.optim.optimizers", "OPTIMIZERS"),
    "schedules": ("netwright.optim.schedules", "SCHEDULES"),
    "augmentations": ("netwright.augment", "AUGMENTATIONS"),
    "tasks": ("netwright.tasks", "TASKS"),
    "formats": ("netwright.export.formats", "FORMATS"),
    "conditions": ("netwright.doctor.conditions", "CONDITIONS"),
}
"""Where the registry of each family lives; it is imported only when the family is listed."""

LISTED = (*FAMILIES, "recipes", "runs")


@COMMANDS.register(
    "ls",
    group="Look up",
    usage="FAMILY [QUERY]",
    about="FAMILY is one of models, adapters, data, activations, normalisations, losses, "
    "initialisers, optimizers, schedules, augmentations, tasks, formats, conditions, recipes, "
    "runs. "
    "QUERY is a part of a name or of its line.",
    examples=("netwright ls models resnet", "netwright ls runs", "netwright ls optimizers --json"),
)
def ls(
    family: Annotated[str, Parameter(help="what to list: see above")],
    query: Annotated[str, Parameter(help="only what contains this")] = "",
    /,
    *,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """List models, data, losses and other names, or the runs."""
    if family == "runs":
        found, rows = _runs(query)
        head = [say(each) for each in ("run", "status", "kept", "when")]
    elif family == "recipes":
        found, rows = _recipes(query)
        head = []
    elif family in FAMILIES:
        module, attribute = FAMILIES[family]
        registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
        entries = [each for each in registry if _fits(query, each.name, each.doc)]
        found = [_facts(each) for each in entries]
        rows = [_row(each) for each in entries]
        head = []
    else:
        raise UnknownNameError("family", family, LISTED)
    call.result({family: found}, table(rows, head=head))
    if not found and not call.quiet:
        call.note("NOTE", "Nothing here contains it." if query else "There is nothing here yet.")
    return 0


def _fits(query: str, *texts: str) -> bool:
    return any(fold(query) in fold(text) for text in texts)


def _row(entry: Entry[Any]) -> Sequence[str]:
    doc = say(entry.doc)
    return (entry.name, f"{entry.facts['params']:,}", doc) if _has_params(entry) else (
        entry.name, doc
    )  # fmt: skip


def _has_params(entry: Entry[Any]) -> bool:
    return isinstance(entry.facts.get("params"), int)


def _facts(entry: Entry[Any]) -> dict[str, Any]:
    """All that is known of a leaf; what is no plain value stays out."""
    from netwright.core.config import settings_of  # brings pydantic, which --help can spare

    plain = (str, int, float, list, tuple)
    settings = settings_of(entry.options) if entry.options is not None else []
    return {
        "name": entry.name,
        "doc": entry.doc,
        **{name: fact for name, fact in entry.facts.items() if isinstance(fact, plain)},
        "settings": [
            {"name": s.name, "default": s.default, "range": s.range, "help": s.help}
            for s in settings
        ],
    }


def _recipes(query: str) -> tuple[list[dict[str, Any]], list[Sequence[str]]]:
    from netwright.core.config import show
    from netwright.tasks.settings import read_config, recipe_names

    found: list[dict[str, Any]] = []
    rows: list[Sequence[str]] = []
    for name in recipe_names():
        if _fits(query, name):
            values = read_config(name).values
            found.append({"name": name, "settings": dict(values)})
            keys = ("data.name", "model.name", "optim.name", "epochs")
            rows.append((name, "  ".join(f"{key}={show(values.get(key))}" for key in keys)))
    return found, rows


def _runs(query: str) -> tuple[list[dict[str, Any]], list[Sequence[str]]]:
    from netwright.core.errors import DataError
    from netwright.records.run import list_runs

    found: list[dict[str, Any]] = []
    rows: list[Sequence[str]] = []
    for run in list_runs():
        if not _fits(query, run.name):
            continue
        try:
            status, best, started = run.status, run.best, run.info.get("started")
        except DataError:
            status, best, started = "damaged", None, None
        if best is not None:  # a file may say anything, and its depth is not bounded
            best = {
                name: each for name, each in best.items() if isinstance(each, str | int | float)
            }
        found.append({"run": str(run.path), "status": status, "best": best, "started": started})
        score = _score(best) if best else "-"
        rows.append((run.name, say(status), score, str(started or "-")[:16].replace("T", " ")))
    return found, rows


def _score(best: Mapping[str, Any]) -> str:
    """The metric that was kept; of several seeds the median and the range."""
    score = f"{best['metric']} {best['value']:.3f}"
    low, high = best.get("min"), best.get("max")
    if isinstance(low, float) and isinstance(high, float):
        return f"{score} [{low:.3f}, {high:.3f}]"
    return score
