"""Build the pages that are made from code: the settings, the families, the mathematics by
hand, and the changelog.

    python docs/build.py            # write them
    python docs/build.py --check    # say which are out of date, exit 1 if any

The pages are committed, so that they can be read without installing anything; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import by_hand_page
import family_pages

from netwright.augment import AUGMENTATIONS
from netwright.core.config import settings_of
from netwright.tasks.assembling import GROUPS
from netwright.tasks.recipe import General

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    made = pages()
    stale = [
        name
        for name, text in made.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for name in stale:
            print(f"{name} is out of date: run python docs/build.py")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(made[name], encoding="utf-8")
        print(f"wrote {name}")
    return 0


def pages() -> dict[str, str]:
    """Every page that is made, by its path."""
    return {
        "docs/settings.md": settings_page(),
        "docs/families.md": family_pages.index(),
        **{f"docs/families/{f.page}.md": family_pages.page(f) for f in family_pages.families()},
        "docs/by-hand.md": by_hand_page.page(),
        "CHANGELOG.md": changelog(),
    }


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
        *family_pages.table(settings_of(General), ""),
    ]
    for name, group in GROUPS.items():
        lines += ["", f"## {name}", ""]
        if group.family is not None and group.default is not None:
            lines += [f"`{name}=NAME` chooses one; the default is `{group.default}`.", ""]
        if group.common is not None:
            common = [each for each in settings_of(group.common) if each.name != "source"]
            lines += family_pages.table(common, f"{name}.")
        for entry in group.family or ():
            if entry.options is not None and settings_of(entry.options):
                lines += ["", f"### {name}={entry.name}", ""]
                lines += family_pages.table(settings_of(entry.options), f"{name}.")
    lines += ["", "## aug", "", "| setting | meaning |", "|---|---|"]
    lines += [f"| `aug.{entry.name}` | {entry.doc} |" for entry in AUGMENTATIONS]
    return "\n".join(lines) + "\n"


def changelog() -> str:
    """The fragments of `changelog.d`, by kind, in the order of their numbers."""
    kinds: dict[str, list[str]] = {"added": [], "changed": [], "fixed": [], "removed": []}
    for path in sorted((ROOT / "changelog.d").glob("*.md")):
        for entry in re.split(
            r"^(?=(?:added|changed|fixed|removed):)", path.read_text(encoding="utf-8"), flags=re.M
        ):
            kind, _, text = entry.partition(":")
            if text:
                kinds[kind.strip()].append("- " + " ".join(text.split()))
    lines = ["# Changes", "", "## Not yet released"]
    for kind, entries in kinds.items():
        if entries:
            lines += ["", f"### {kind.capitalize()}", "", *entries]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
