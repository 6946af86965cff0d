"""From facts to findings: every condition that reads such a fact is asked, the answers ranked."""

from __future__ import annotations

import dataclasses

from netwright.doctor.conditions import CONDITIONS
from netwright.records.findings import SEVERITIES, Finding, ranked


def diagnose(*facts: object) -> tuple[Finding, ...]:
    """What the conditions find in `facts` (an `InspectionRecord`, ...), the worst first.

    A condition is asked about each fact of a kind it reads, and about no other. Where it finds the
    same in a part and in the whole record, the graver or fuller finding stays.
    """
    found = [
        dataclasses.replace(
            finding, group=entry.facts["group"], yields_to=entry.facts.get("yields_to", ())
        )
        for entry in CONDITIONS
        for fact in facts
        if isinstance(fact, entry.facts["reads"])
        for finding in entry.target(fact)
    ]
    return ranked(_once(found))


def _once(found: list[Finding]) -> list[Finding]:
    kept: dict[tuple[str, tuple[str, ...], int | None, str], Finding] = {}
    for each in found:
        key = (each.name, each.layers, each.step, each.what.template)
        other = kept.get(key)
        if other is None or _weight(each) > _weight(other):
            kept[key] = each
    return list(kept.values())


def _weight(finding: Finding) -> tuple[int, int]:
    return -SEVERITIES.index(finding.severity), len(finding.evidence)
