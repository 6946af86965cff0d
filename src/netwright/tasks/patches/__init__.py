"""The treatments that can be written as a change of the source.

A leaf is asked about a finding and gives patched scripts, the likeliest first; nothing where the
script has a form in which the change cannot be told apart or written. Whether it helps is for a
race to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from netwright.core.languages import Phrase
from netwright.core.registry import Registry
from netwright.records.findings import Finding, Grade
from netwright.tasks.source.script import CannotPatchError, Script


@dataclass(frozen=True, kw_only=True)
class Patch:
    """`says` what is changed, in a few words; `script` is the whole with the change."""

    says: Phrase
    script: Script
    grade: Grade = "ask"


Patcher: TypeAlias = Callable[[Script, Finding], Iterator[Patch]]

PATCHES: Registry[Patcher] = Registry("patch", "netwright.tasks.patches")
"""A leaf bears the name of its treatment. `cures` are names of conditions it may be tried for
though their findings do not name it."""


def patches_for(script: Script, finding: Finding) -> list[tuple[str, Patch]]:
    """The patches of every treatment that the finding names, in its order, then of those that are
    for it too; each with its name. A patch that changes nothing is none."""
    grades = {each.name: each.grade for each in finding.treatments}
    named = [each for each in grades if each in PATCHES]
    named += [e.name for e in PATCHES if finding.name in e.facts["cures"] and e.name not in grades]
    found: list[tuple[str, Patch]] = []
    for name in named:
        try:
            for patch in PATCHES.get(name).target(script, finding):
                known = {each.script.text for _, each in found}
                if patch.script.text != script.text and patch.script.text not in known:
                    grade = "safe" if grades.get(name) == "safe" else "ask"
                    found.append((name, Patch(says=patch.says, script=patch.script, grade=grade)))  # type: ignore[arg-type]
        except CannotPatchError:
            continue
    return found
