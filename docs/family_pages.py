"""The manual of the families: one page each, made from the docstrings of its leaves.

A page says what the family is (the docstring of its package), compares its leaves in a table, and
then gives each leaf its docstring, its settings and its source. Paragraphs of a docstring that
begin with one of `HEADINGS` become sections.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from netwright import models
from netwright.augment import AUGMENTATIONS
from netwright.core.config import Setting, settings_of, show
from netwright.core.registry import Entry
from netwright.data.sources import SOURCES
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.treatments import TREATMENTS
from netwright.export.formats import FORMATS
from netwright.inspection.outline import outline
from netwright.models import MODELS
from netwright.models.adapters import ADAPTERS
from netwright.nn.activations import ACTIVATIONS
from netwright.nn.initialisation import gain
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.nn.normalisation import NORMS
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES
from netwright.tasks import TASKS

HEADINGS = (
    "What was new", "When to use it", "What goes wrong", "Source",
    "Why it hurts", "Evidence", "Would be wrong if", "Not to be confused with", "Treatment",
)  # fmt: skip

Column = Callable[[Entry[Any]], str]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One page: whose leaves, how one is chosen, and the columns of the table besides its line."""

    title: str
    page: str
    chosen: str
    prefix: str
    package: str
    leaves: Iterable[Entry[Any]]
    columns: Mapping[str, Column]
    how: str = "Chosen with"


def families() -> tuple[Family, ...]:
    """All pages, in the order of the index."""
    return (
        Family(
            title="Tasks",
            page="tasks",
            chosen="task=NAME",
            prefix="task.",
            package="netwright.tasks",
            leaves=TASKS,
            columns={"data": _fact("data"), "judged by": _fact("metric")},
        ),
        Family(
            title="Models",
            page="models",
            chosen="MODEL, or model=NAME",
            prefix="model.",
            package="netwright.models",
            leaves=MODELS,
            columns={
                "made for": _fact("input"),
                "parameters": lambda e: _number(e.facts["params"]),
                "multiply-adds": _multiply_adds,
                "parameters for 3x32x32, 10 classes": lambda e: _number(_small(e)[0]),
                "multiply-adds for these": lambda e: _short(_small(e)[1]),
                "smallest image": lambda e: str(e.facts.get("smallest", 1)),
            },
        ),
        Family(
            title="Adapters",
            page="adapters",
            chosen="model.weights=NAME:FILE",
            prefix="model.weights.",
            package="netwright.models.adapters",
            leaves=ADAPTERS,
            columns={},
        ),
        Family(
            title="Data",
            page="data",
            chosen="DATA, or data=NAME",
            prefix="data.",
            package="netwright.data.sources",
            leaves=SOURCES,
            columns={
                "images": _fact("images"),
                "classes": _fact("classes"),
                "shape": _fact("shape"),
            },
        ),
        Family(
            title="Losses",
            page="losses",
            chosen="loss=NAME",
            prefix="loss.",
            package="netwright.nn.losses",
            leaves=LOSSES,
            columns={
                "of": lambda e: "the whole batch" if e.facts.get("batchwise") else "each sample",
                "settings": _settings,
            },
        ),
        Family(
            title="Initialisers",
            page="initialisers",
            chosen="init=NAME",
            prefix="init.",
            package="netwright.nn.initialisers",
            leaves=INITIALISERS,
            columns={
                "gain fits the activation": lambda e: _yes(
                    e.facts.get("matched", not e.facts.get("teaching"))
                    and not e.facts.get("images")
                ),
                "looks at images": lambda e: _yes(e.facts.get("images")),
                "settings": _settings,
            },
        ),
        Family(
            title="Optimizers",
            page="optimizers",
            chosen="optim=NAME",
            prefix="optim.",
            package="netwright.optim.optimizers",
            leaves=OPTIMIZERS,
            columns={
                "first rate": lambda e: _default(e, "lr"),
                "a step takes": lambda e: (
                    "all images" if e.facts.get("batch") == "all" else "a batch"
                ),
                "settings of its own": _settings,
            },
        ),
        Family(
            title="Schedules",
            page="schedules",
            chosen="sched=NAME",
            prefix="sched.",
            package="netwright.optim.schedules",
            leaves=SCHEDULES,
            columns={
                "rises by itself": lambda e: _yes(e.facts.get("rises")),
                "answers to": lambda e: str(e.facts.get("watches", "the step")),
                "settings": _settings,
            },
        ),
        Family(
            title="Augmentations",
            page="augmentations",
            chosen="aug.NAME=VALUE",
            prefix="aug.",
            package="netwright.augment",
            leaves=AUGMENTATIONS,
            columns={"order": _fact("order"), "value": _value},
        ),
        Family(
            title="Export formats",
            page="formats",
            chosen="--format NAME",
            prefix="format.",
            package="netwright.export.formats",
            leaves=FORMATS,
            columns={"file": _fact("suffix"), "runs in": _fact("runtime")},
        ),
        Family(
            title="Conditions",
            page="conditions",
            how="Looked for with",
            chosen="netwright inspect MODEL",
            prefix="",
            package="netwright.doctor.conditions",
            leaves=CONDITIONS,
            columns={
                "can be proved": _fact("when"),
                "treated among": _fact("group"),
                "at worst a": _fact("severity"),
            },
        ),
        Family(
            title="Treatments",
            page="treatments",
            how="Raced by",
            chosen="nw.heal(...)",
            prefix="",
            package="netwright.doctor.treatments",
            leaves=TREATMENTS,
            columns={"grade": _fact("grade"), "cures": _cures},
        ),
        Family(
            title="Activations",
            page="activations",
            chosen="model.act=NAME",
            prefix="model.act.",
            package="netwright.nn.activations",
            leaves=ACTIVATIONS,
            columns={"gain of the weights before it": lambda e: f"{gain(e.name):.3f}"},
        ),
        Family(
            title="Normalisations",
            page="normalisations",
            chosen="model.norm=NAME",
            prefix="model.norm.",
            package="netwright.nn.normalisation",
            leaves=NORMS,
            columns={
                "parameters for 64 channels": lambda e: str(
                    sum(each.numel() for each in e.target(64, 1e-5).parameters())
                ),
                "running numbers": lambda e: str(
                    sum(each.numel() for each in e.target(64, 1e-5).buffers() if each.ndim)
                ),
            },
        ),
    )


def _cures(entry: Entry[Any]) -> str:
    return ", ".join(f"[{name}](conditions.md#{name})" for name in entry.facts["cures"])


def index() -> str:
    """The short page that leads to the others."""
    lines = [
        "# What there is",
        "",
        "`netwright ls FAMILY` lists the same from the command line, `netwright explain NAME` has",
        "each entry with its settings.",
        "Over-fitting is fought in several of them: see [regularisation](regularisation.md).",
    ]
    for family in families():
        page = f"families/{family.page}.md"
        names = [f"[{each.name}]({page}#{each.name})" for each in family.leaves]
        lines += ["", f"## [{family.title}]({page})", ""]
        lines += [f"{family.how} `{family.chosen}`.", "", " · ".join(names)]
    return "\n".join(lines) + "\n"


def page(family: Family) -> str:
    """The whole page of a family."""
    leaves = list(family.leaves)
    about = inspect.getdoc(__import__(family.package, fromlist=["__doc__"])) or ""
    lines = [
        f"# {family.title}",
        "",
        f"{family.how} `{family.chosen}`. [All families](../families.md) · "
        "[all settings](../settings.md)",
        "",
        about,
        "",
        "Contents: " + " · ".join(f"[{each.name}](#{each.name})" for each in leaves),
        "",
        "| name | what it is | " + " | ".join(family.columns) + " |",
        "|---|---|" + "---|" * len(family.columns),
    ]
    for entry in leaves:
        cells = [column(entry) for column in family.columns.values()]
        lines.append(
            "| " + " | ".join([f"[{entry.name}](#{entry.name})", _cell(entry.doc), *cells]) + " |"
        )
    shown: dict[Any, str] = {}
    for entry in leaves:
        lines += ["", f"## {entry.name}"]
        for block in _leaf(entry, family.prefix, shown):
            lines += ["", block]
    return "\n".join(lines) + "\n"


def table(fields: Iterable[Setting], prefix: str) -> Iterator[str]:
    """Settings as lines of a Markdown table."""
    yield "| setting | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for each in fields:
        unit = f" ({each.unit})" if each.unit else ""
        allowed = _cell(each.range) or "any"
        yield f"| `{prefix}{each.name}` | `{show(each.default)}` | {allowed} | {each.help}{unit} |"


def _leaf(entry: Entry[Any], prefix: str, shown: dict[Any, str]) -> Iterator[str]:
    """The docstring, the settings and the facts, block by block; a section or settings that an
    earlier leaf of the page has in the same words (`shown`: which) is linked and not repeated."""
    again: dict[str, list[str]] = {}
    for paragraph in _paragraphs(entry.target):
        heading = next((each for each in HEADINGS if paragraph.startswith(f"{each}:")), None)
        if heading is None:
            yield paragraph
        elif paragraph in shown:
            again.setdefault(shown[paragraph], []).append(heading)
        else:
            shown[paragraph] = entry.name
            yield f"**{heading}:**{paragraph.removeprefix(f'{heading}:')}"
    for name, headings in again.items():
        joined = " and ".join(each.lower() for each in headings)
        yield f"**{joined.capitalize()}:** as with [{name}](#{name})."
    if "paper" in entry.facts:
        yield f"**Source:** {entry.facts['paper']}."
    fields = settings_of(entry.options) if entry.options is not None else []
    if entry.options in shown:
        name = shown[entry.options]
        yield f"**Settings:** those of [{name}](#{name})."
    elif fields:
        shown[entry.options] = entry.name
        yield "\n".join(table(fields, prefix))
    facts = [
        f"{name.replace('_', ' ')}: {_plain(fact)}"
        for name, fact in entry.facts.items()
        if name != "paper" and not callable(fact)
    ]
    if facts:
        yield f"**Facts:** {'; '.join(facts)}."


def _paragraphs(target: Any) -> Iterator[str]:
    """The paragraphs of a docstring, a new one at each heading; an example is fenced."""
    between = rf"\n\n|\n(?=(?:{'|'.join(HEADINGS)}): )"
    for paragraph in re.split(between, inspect.getdoc(target) or ""):
        yield f"```pycon\n{paragraph}\n```" if paragraph.startswith(">>>") else paragraph


@functools.cache
def _counted(name: str, shape: tuple[int, int, int], classes: int | None = None) -> tuple[int, int]:
    """Parameters and multiply-adds of a model for images of `shape`, on the meta device."""
    entry = MODELS.get(name)
    with torch.device("meta"):
        model = models.build(
            name,
            num_classes=classes or entry.facts["classes"],
            in_channels=shape[0],
            input_size=shape[1:],
        )
    rows = outline(model, shape)
    return sum(row.params for row in rows), sum(row.macs for row in rows)


def _multiply_adds(entry: Entry[Any]) -> str:
    """Those it was registered with, which a contract checks; counted where it states none."""
    return _short(entry.facts.get("macs") or _counted(entry.name, entry.facts["input"])[1])


def _small(entry: Entry[Any]) -> tuple[int, int]:
    return _counted(entry.name, (3, 32, 32), 10)


def _settings(entry: Entry[Any]) -> str:
    """The names of the settings that the leaf's own class declares."""
    own = vars(entry.options).get("__annotations__", {}) if entry.options is not None else {}
    return ", ".join(own) or "none"


def _default(entry: Entry[Any], name: str) -> str:
    assert entry.options is not None
    return show(next(each.default for each in settings_of(entry.options) if each.name == name))


def _value(entry: Entry[Any]) -> str:
    assert entry.options is not None
    first = settings_of(entry.options)[0]
    return first.help + (f" ({first.unit})" if first.unit else "")


def _fact(name: str) -> Column:
    return lambda entry: _plain(entry.facts[name]) if name in entry.facts else "-"


def _plain(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(each, int) for each in value):
        return "x".join(map(str, value))
    if dataclasses.is_dataclass(value):
        return str(value)
    return _number(value) if isinstance(value, int) else show(value)


def _number(value: int) -> str:
    return show(value) if isinstance(value, bool) else f"{value:,}"


def _short(value: int) -> str:
    """A large number to three digits, in millions."""
    return f"{value / 1e6:.3g} M" if value < 1e9 else f"{value / 1e6:,.0f} M"


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
