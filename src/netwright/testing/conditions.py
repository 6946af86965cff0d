"""What a registered condition owes."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re

from netwright.core.languages import speaking
from netwright.core.registry import Entry
from netwright.doctor.conditions import CONDITIONS, Condition
from netwright.records.findings import GROUPS, SEVERITIES, Finding
from netwright.records.inspection import InspectionRecord

PARTS = ("Why it hurts", "Evidence", "Would be wrong if", "Not to be confused with", "Treatment")

EMPTY = InspectionRecord(
    model="",
    kind="Identity",
    inputs=(),
    input_dtypes=(),
    spatial=(),
    layers=(),
    operations=(),
    parameters=(),
    outputs=(),
    output_bytes=0,
    peak_activation_bytes=0,
    buffer_bytes=0,
)
"""The inspection of a network in which nothing runs."""


def check_condition(entry: Entry[Condition]) -> None:
    """Hold a leaf of `netwright.doctor.conditions.CONDITIONS` against its contract.

    - its docstring has a line that says what it is, and the parts that every condition has;
    - it says what it reads, when it can be proved, its group, its worst severity, and yields to
      conditions that are not itself, none of which yields to it;
    - it finds nothing where there is nothing.
    """
    facts, doc = entry.facts, inspect.getdoc(entry.target) or ""
    missing = [part for part in PARTS if not re.search(rf"(^|\n){part}: \S[\s\S]{{10,}}", doc)]
    assert not missing, f"{entry.name} does not say: {', '.join(missing)}"
    assert entry.doc.endswith("."), f"{entry.name} does not say in one line what it is"
    assert facts.get("when"), f"{entry.name} does not say when it can be proved"
    assert facts.get("group") in GROUPS, f"{entry.name} is of no group: {facts.get('group')}"
    assert facts.get("severity") in SEVERITIES, f"{entry.name} does not say how bad it can be"
    assert "reads" in facts, f"{entry.name} does not say what it reads"
    for deeper in facts.get("yields_to", ()):
        back = CONDITIONS.get(deeper).facts.get("yields_to", ()) if deeper in CONDITIONS else ()
        assert deeper != entry.name, f"{entry.name} yields to itself"
        assert entry.name not in back, f"{entry.name} and {deeper} yield to each other"
    if isinstance(EMPTY, facts["reads"]):
        assert list(entry.target(EMPTY)) == [], f"{entry.name} finds something in nothing"


def check_finding(entry: Entry[Condition], finding: Finding) -> None:
    """Hold what a condition found against its contract.

    - it carries the condition's name, is no worse than the condition says, and has numbers that
      JSON can hold;
    - it can be spoken in both languages, and says what can be done.
    """
    name = entry.name
    assert finding.name == name, f"{name} finds {finding.name}"
    worst = SEVERITIES.index(entry.facts["severity"])
    assert SEVERITIES.index(finding.severity) >= worst, f"{name} says {finding.severity}"
    assert finding.treatments, f"{name} does not say what can be done"
    assert 0 < finding.confidence <= 1, f"{name} is {finding.confidence} sure"
    document = finding.to_json()
    json.dumps(document, allow_nan=False)
    owed = {field.name for field in dataclasses.fields(Finding)}
    assert owed <= set(document), f"{name} leaves out {owed - set(document)}"
    english, chinese = finding.paragraphs(), []
    with speaking("zh"):
        chinese = finding.paragraphs()
    same = [one for one, other in zip(english, chinese, strict=True) if one == other]
    assert not same, f"{name} says in both languages: {same[0]}"
