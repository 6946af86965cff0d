"""From facts to findings: every condition that reads such a fact is asked, the answers ranked."""

from __future__ import annotations

import dataclasses

from netwright.doctor.conditions import CONDITIONS
from netwright.records.findings import Finding, ranked
from netwright.records.layer_words import in_words_of_layers
from netwright.records.record import Record


def diagnose(*facts: object) -> tuple[Finding, ...]:
    """What the conditions find in `facts` (an `InspectionRecord`, ...), the worst first.

    A condition is asked about each fact of a kind it reads, and about no other. One that reads
    whole records and single facts is asked about the record alone where there is one.
    """
    found = [
        dataclasses.replace(
            finding, group=entry.facts["group"], yields_to=entry.facts.get("yields_to", ())
        )
        for entry in CONDITIONS
        for fact in _read_by(entry.facts["reads"], facts)
        for finding in entry.target(fact)
    ]
    return ranked(in_words_of_layers(each, facts) for each in found)


def _read_by(kinds: type | tuple[type, ...], facts: tuple[object, ...]) -> list[object]:
    found = [each for each in facts if isinstance(each, kinds)]
    whole: list[object] = [each for each in found if isinstance(each, Record)]
    return whole or found
