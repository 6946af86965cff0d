"""From facts to findings: every condition that reads such a fact is asked, the answers ranked."""

from __future__ import annotations

import dataclasses

from netwright.doctor.conditions import CONDITIONS
from netwright.records.findings import Finding, ranked


def diagnose(*facts: object) -> tuple[Finding, ...]:
    """What the conditions find in `facts` (an `InspectionRecord`, ...), the worst first.

    A condition is asked about each fact of a kind it reads, and about no other.
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
    return ranked(found)
