"""What the doctor says in the end: the findings of a record, ranked, as one story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netwright.doctor.diagnosing import diagnose
from netwright.records.findings import Finding
from netwright.records.record import Record


@dataclass(frozen=True)
class Diagnosis:
    """`findings`, the worst first, and the `record` they were read from."""

    findings: tuple[Finding, ...]
    record: Record

    def __bool__(self) -> bool:
        """Whether anything above a note was found."""
        return any(each.severity != "note" for each in self.findings)

    def named(self, name: str) -> Finding | None:
        """The first finding of that name."""
        return next((each for each in self.findings if each.name == name), None)

    def to_json(self) -> dict[str, Any]:
        return {"format": 1, "findings": [each.to_json() for each in self.findings]}

    def __str__(self) -> str:
        lines = []
        for each in self.findings:
            first, *rest = each.paragraphs()
            lines.append(f"{each.severity.upper():5} {each.name}: {first}")
            lines += [f"      {line}" for line in rest]
        return "\n".join(lines)


def diagnosed(record: Record) -> Diagnosis:
    """The diagnosis of a record, live or saved: the same for both."""
    return Diagnosis(diagnose(record, *record), record)
