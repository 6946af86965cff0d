"""From findings to the patched scripts that race: which causes are treated next, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from netwright.core.languages import Phrase
from netwright.records.findings import GROUPS, Finding
from netwright.tasks.patches import Patch, patches_for
from netwright.tasks.repair.racing import Candidate
from netwright.tasks.source.script import Script

CANDIDATES = 6
"""How many patched scripts race at a time, at most."""

PROVABLE = GROUPS[:3]
"""What is known for sure early: faults of data, output and wiring are seen in the code that runs,
those of start, rate and structure only in how it goes."""

Chosen = list[tuple[str, Patch]]

Tried = Set[tuple[str, tuple[str, ...]]]
"""Findings, by name and layers."""


def causes(findings: Sequence[Finding]) -> list[Finding]:
    """The causes among what was found: no notes, no symptoms."""
    alarms = [each for each in findings if each.severity != "note" and not each.points]
    names = {each.name for each in alarms}
    return [each for each in alarms if names.isdisjoint(each.yields_to)] or alarms


def next_group(found: Sequence[Finding], script: Script, tried: Tried) -> list[Finding]:
    """The causes of the first group that has any with a patch, less what has been tried."""
    for group in GROUPS:
        left = [
            each
            for each in found
            if each.group == group
            and (each.name, each.layers) not in tried
            and patches_for(script, each)
        ]
        if left:
            return list({each.name: each for each in reversed(left)}.values())[::-1]
    return []


def certain(group: Sequence[Finding], script: Script) -> bool:
    """Whether causes need no longer look: they are of the code, and what mends them is always
    right."""
    return bool(group) and all(
        each.group in PROVABLE and patches_for(script, each)[0][1].grade == "safe" for each in group
    )


def candidates(
    script: Script, findings: Sequence[Finding], others: Sequence[Finding]
) -> Iterator[Candidate]:
    """What is surely right for all that was found; all first patches of this group together,
    then each other patch in the place of the first of its kind, then each cause alone."""
    counts = [len(patches_for(script, each)) for each in findings]
    first: list[int | None] = [0] * len(findings)
    choices = [first]
    for place, count in enumerate(counts):
        for other in range(1, count):
            choices.append([*first[:place], other, *first[place + 1 :]])
    if len(findings) > 1:
        for place in range(len(findings)):
            alone: list[int | None] = [None] * len(findings)
            alone[place] = 0
            choices.append(alone)
    known: set[str] = set()
    if (whole := _whole(script, findings, others)) is not None:
        known.add(whole.script.text)
        yield whole
    for choice in choices[: CANDIDATES - len(known)]:
        chosen = _composed(script, findings, choice)
        if chosen and chosen[-1][1].script.text not in known:
            known.add(chosen[-1][1].script.text)
            yield Candidate.of(chosen, _joined([patch.says for _, patch in chosen]))


def names_of(
    script: Script,
    found: Sequence[Candidate],
    findings: Sequence[Finding],
    others: Sequence[Finding],
) -> tuple[str, ...]:
    """The findings that candidates are about."""
    told = {*findings, *(each for each in others if found[0].whole)}
    named = {name for each in found for name in each.names}
    return tuple(
        dict.fromkeys(
            each.name
            for each in others
            if each in told and any(name in named for name, _ in patches_for(script, each))
        )
    )


def _whole(
    script: Script, findings: Sequence[Finding], others: Sequence[Finding]
) -> Candidate | None:
    """The first patches of this group with those of later groups that are always right: what
    is mended here may only show when a fault behind it is mended too."""
    behind = [
        each
        for each in others
        if GROUPS.index(each.group) > GROUPS.index(findings[0].group)
        and (found := patches_for(script, each))
        and found[0][1].grade == "safe"
    ]
    if not behind:
        return None
    together = sorted([*findings, *behind], key=lambda each: GROUPS.index(each.group))
    chosen = _composed(script, together, [0] * len(together))
    if len(chosen) <= len(findings):
        return None
    return Candidate.of(chosen, _joined([patch.says for _, patch in chosen]), whole=True)


def _composed(script: Script, findings: Sequence[Finding], choice: Sequence[int | None]) -> Chosen:
    """The patches of several findings, each applied to what the one before made; empty where one
    of them does not fit behind the others."""
    chosen: Chosen = []
    for finding, number in zip(findings, choice, strict=True):
        if number is None:
            continue
        found = patches_for(script, finding)
        if number < len(found):
            chosen.append(found[number])
            script = found[number][1].script
    return chosen


def _joined(parts: Sequence[Phrase]) -> Phrase:
    found = parts[0]
    for each in parts[1:]:
        found = Phrase("{first}; {second}", first=found, second=each)
    return found
