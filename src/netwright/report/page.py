"""The report of a run: one HTML file that opens anywhere, without network and without script.

write_report(find_run("latest"))          # -> runs/.../report.html
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeAlias

from netwright.core import languages
from netwright.core.atomic import write_text
from netwright.core.errors import DataError
from netwright.core.escaping import html_attribute, html_text
from netwright.core.languages import say
from netwright.core.registry import Registry
from netwright.records.run import Run
from netwright.records.seeds import seed_runs
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.style import STYLE
from netwright.report.tables import note
from netwright.report.words import short

# A page is under 1 MB: small enough for a letter, and it opens at once.
LARGEST_PAGE = 1_000_000

_Placed: TypeAlias = tuple[str, Part, bool]
"""The name of a section, what it has to show, and whether it wants the whole width."""

# Bytes of pictures and rows of a table, tried in turn until the page is small enough.
_ALLOWANCES = ((640_000, 1000), (320_000, 1000), (160_000, 500), (80_000, 150), (0, 40))


def write_report(run: Run, *, language: str | None = None) -> Path:
    """Write `report.html` into the run folder, whole or not at all, and return its path.

    `language` is "en" or "zh" for this page; None takes the language messages are in.
    Whatever the folder lacks is left out and said. Raises `ExhaustedError` when the disk is
    full or cannot be written.
    """
    path = run.path / "report.html"
    write_text(path, render(run, language=language))
    return path


def render(run: Run, *, language: str | None = None) -> str:
    """The page as HTML, under `LARGEST_PAGE` bytes."""
    with languages.speaking(language):
        material = _material(run)
        for budget, rows in _ALLOWANCES:
            page = _page(material, Allowance(budget, rows=rows))
            if len(page.encode("utf-8", "backslashreplace")) < LARGEST_PAGE:
                break
    return page


def _material(run: Run) -> Material | SeedsMaterial:
    with contextlib.suppress(DataError):  # a damaged run.json: the material of one run says so
        if seed_runs(run):
            return SeedsMaterial(run)
    return Material(run)


def _sections(material: Material | SeedsMaterial, allowance: Allowance) -> list[_Placed]:
    """What the sections of its kind make of a run, in their order."""
    sections: Registry[Any] = SEED_SECTIONS if isinstance(material, SeedsMaterial) else SECTIONS
    return [
        (entry.name, part, bool(entry.facts.get("wide", True)))
        for entry in sorted(sections, key=lambda each: each.facts["order"])
        if (part := entry.target(material, allowance)) is not None
    ]


def _page(material: Material | SeedsMaterial, allowance: Allowance) -> str:
    parts = _sections(material, allowance)
    wide = _placed([each[2] for each in parts])
    (head, *rest), (_, *places) = parts, wide
    body = f'<section class="verdict" id="{head[0]}">{head[1].body}{_contents(rest)}</section>'
    body += "".join(
        _section(name, part, placed) for (name, part, _), placed in zip(rest, places, strict=True)
    )
    title = f"{short(material.data_name)} · {short(material.model_name)}"
    return (
        f'<!doctype html>\n<html lang="{"zh-CN" if languages.current() == "zh" else "en"}">\n'
        '<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html_text(title)} · Netwright</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n{_foot(material, allowance)}</main>\n</body>\n</html>\n"
    )


def _placed(wide: list[bool]) -> list[bool]:
    """Which sections take the whole width: a half one whose neighbour is missing does too.

    >>> _placed([True, False, False, False, True])
    [True, False, False, True, True]
    """
    result, i = [], 0
    while i < len(wide):
        if not wide[i] and i + 1 < len(wide) and not wide[i + 1]:
            result += [False, False]
            i += 2
        else:
            result.append(True)
            i += 1
    return result


def _contents(rest: list[tuple[str, Part, bool]]) -> str:
    links = "".join(f'<a href="#{name}">{html_text(part.title)}</a>' for name, part, _ in rest)
    return f'<nav aria-label="{html_attribute(say("Contents"))}">{links}</nav>'


def _section(name: str, part: Part, wide: bool) -> str:
    kind = "" if wide else ' class="half"'
    lead = f'<p class="lead">{html_text(part.lead)}</p>' if part.lead else ""
    return (
        f'<section id="{name}"{kind}><h2>{html_text(part.title)}</h2>{lead}{part.body}</section>\n'
    )


def _foot(material: Material | SeedsMaterial, allowance: Allowance) -> str:
    told = ""
    if allowance.dropped:
        told = note(
            say(
                "To keep this page under 1 MB, pictures were left out: {count}. They are in the "
                "folders evidence and samples of the run.",
                count=f"{allowance.dropped:,}",
            )
        )
    return f"{told}<footer>{html_text(short(material.run.name, 120))} · Netwright</footer>"
