"""Build the pages that are made from code: `settings.md`, `families.md`, and the changelog.

    python docs/build.py            # write them
    python docs/build.py --check    # say which are out of date, exit 1 if any

The pages are committed, so that they can be read without installing anything; a test compares.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from netwright.augment import AUGMENTATIONS
from netwright.core.config import Setting, settings_of, show
from netwright.core.registry import Registry
from netwright.data.sources import SOURCES
from netwright.models import MODELS
from netwright.models.adapters import ADAPTERS
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES
from netwright.tasks import TASKS
from netwright.tasks.assembling import GROUPS
from netwright.tasks.recipe import General

ROOT = Path(__file__).resolve().parent.parent

FAMILIES: dict[str, tuple[str, Registry[Any]]] = {
    "Tasks": ("task=", TASKS),
    "Models": ("MODEL, or model=", MODELS),
    "Adapters": ("model.weights=ADAPTER:FILE", ADAPTERS),
    "Data": ("DATA, or data=", SOURCES),
    "Losses": ("loss=", LOSSES),
    "Initialisers": ("init=", INITIALISERS),
    "Optimizers": ("optim=", OPTIMIZERS),
    "Schedules": ("sched=", SCHEDULES),
    "Augmentations": ("aug.NAME=", AUGMENTATIONS),
}


def main() -> int:
    pages = {
        "docs/settings.md": settings_page(),
        "docs/families.md": families_page(),
        "CHANGELOG.md": changelog(),
    }
    stale = [
        name
        for name, text in pages.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for name in stale:
            print(f"{name} is out of date: run python docs/build.py")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(pages[name], encoding="utf-8")
        print(f"wrote {name}")
    return 0


def settings_page() -> str:
    """Every setting by group, with its default, range and meaning."""
    lines = [
        "# Settings",
        "",
        "Written `name=value` on the command line, nested in YAML, with `__` for the dot in Python",
        "and in the environment (`NETWRIGHT_SET_optim__lr=0.1`). A later source wins: default,",
        "recipe, `--config` file, environment, command line. `netwright config show` prints where",
        "each value came from.",
        "",
        "## Top level",
        "",
        *_table(settings_of(General), ""),
    ]
    for name, group in GROUPS.items():
        lines += ["", f"## {name}", ""]
        if group.family is not None and group.default is not None:
            lines += [f"`{name}=NAME` chooses one; the default is `{group.default}`.", ""]
        if group.common is not None:
            common = [each for each in settings_of(group.common) if each.name != "source"]
            lines += _table(common, f"{name}.")
        for entry in group.family or ():
            if entry.options is not None and settings_of(entry.options):
                lines += ["", f"### {name}={entry.name}", ""]
                lines += _table(settings_of(entry.options), f"{name}.")
    lines += ["", "## aug", "", "| setting | meaning |", "|---|---|"]
    lines += [f"| `aug.{entry.name}` | {entry.doc} |" for entry in AUGMENTATIONS]
    return "\n".join(lines) + "\n"


def families_page() -> str:
    """Every leaf of every family: what it is, its facts, its documentation."""
    lines = [
        "# What there is",
        "",
        "Each entry is one file; `netwright ls FAMILY` lists the same from the command line.",
    ]
    for title, (spelled, registry) in FAMILIES.items():
        lines += ["", f"## {title}", "", f"Chosen with `{spelled}`."]
        for entry in registry:
            lines += ["", f"### {entry.name}", "", _prose(entry.target)]
            facts = [f"{k}: {_fact(v)}" for k, v in entry.facts.items() if not callable(v)]
            if facts:
                lines += ["", "; ".join(facts) + "."]
    return "\n".join(lines) + "\n"


def changelog() -> str:
    """The fragments of `changelog.d`, by kind, in the order of their numbers."""
    kinds: dict[str, list[str]] = {"added": [], "changed": [], "fixed": [], "removed": []}
    for path in sorted((ROOT / "changelog.d").glob("*.md")):
        kind, _, text = path.read_text(encoding="utf-8").partition(":")
        kinds[kind.strip()].append("- " + " ".join(text.split()))
    lines = ["# Changes", "", "## Not yet released"]
    for kind, entries in kinds.items():
        if entries:
            lines += ["", f"### {kind.capitalize()}", "", *entries]
    return "\n".join(lines) + "\n"


def _table(fields: Iterable[Setting], prefix: str) -> Iterator[str]:
    yield "| setting | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for each in fields:
        unit = f" ({each.unit})" if each.unit else ""
        allowed = each.range.replace("|", "\\|") or "any"
        yield f"| `{prefix}{each.name}` | `{show(each.default)}` | {allowed} | {each.help}{unit} |"


def _prose(target: Any) -> str:
    text = inspect.getdoc(target) or ""
    lines, code = [], False
    for line in text.splitlines():
        if line.startswith(">>>") and not code:
            lines.append("```pycon")
            code = True
        if code and not line.strip():
            lines.append("```")
            code = False
        lines.append(line)
    return "\n".join([*lines, "```"] if code else lines)


def _fact(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return str(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else show(value)


if __name__ == "__main__":
    raise SystemExit(main())
