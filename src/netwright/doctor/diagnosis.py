"""What the doctor says in the end: the findings of a record, ranked, as one story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netwright.core.errors import UnknownNameError
from netwright.core.languages import Phrase, say
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosing import diagnose
from netwright.records.facts.left_out import LeftOut
from netwright.records.findings import SEVERITIES, Finding, symptoms
from netwright.records.record import Record


@dataclass(frozen=True)
class Diagnosis:
    """`findings`, the worst first, roots before their symptoms, and the `record` they were read
    from. True where something above a note was found."""

    findings: tuple[Finding, ...]
    record: Record

    def __bool__(self) -> bool:
        return any(each.severity != "note" for each in self.findings)

    def named(self, name: str) -> Finding | None:
        """The first finding of that name; `UnknownNameError` where no condition is called so."""
        if name not in CONDITIONS:
            raise UnknownNameError("condition", name, CONDITIONS.names())
        wanted = CONDITIONS.get(name).name
        return next((each for each in self.findings if each.name == wanted), None)

    def at_least(self, severity: str) -> tuple[Finding, ...]:
        """Those as bad as `severity`, or worse."""
        bound = SEVERITIES.index(severity)
        return tuple(each for each in self.findings if SEVERITIES.index(each.severity) <= bound)

    @property
    def story(self) -> tuple[tuple[Finding, tuple[Finding, ...]], ...]:
        """Each root, with the findings that it explains."""
        names = {each.name for each in self.findings}
        roots = [each for each in self.findings if names.isdisjoint(each.yields_to)]
        return tuple((each, symptoms(each, self.findings)) for each in roots or self.findings)

    @property
    def left_out(self) -> LeftOut | None:
        """What the check-up did not look at, and why; None where it looked at all it knows."""
        return self.record.get(LeftOut)

    @property
    def verdict(self) -> Phrase:
        """One sentence."""
        above = [each for each in self.findings if each.severity != "note"]
        if not above:
            return Phrase("Nothing was found that does harm")
        root = self.findings[0]
        explained = symptoms(root, self.findings)
        if explained:
            return Phrase(
                "{name}, which also explains {symptoms}",
                name=root.name,
                symptoms=", ".join(dict.fromkeys(each.name for each in explained)),
            )
        return Phrase("{name}: {what}", name=root.name, what=root.what)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "verdict": str(self.verdict),
            "findings": [each.to_json() for each in self.findings],
            "left_out": self.left_out.to_json() if self.left_out is not None else None,
        }

    def __str__(self) -> str:
        """For the screen, in the language of the user."""
        lines = []
        for each in self.findings:
            first, *rest = each.paragraphs()
            lines.append(f"{say(each.severity).upper():5} {each.name}: {first}")
            lines += [f"      {line}" for line in rest]
        lines = lines or [self.verdict.localized()]
        if self.left_out is not None:
            lines += [f"{say('left out')} {each.localized()}" for each in self.left_out.lines()]
        return "\n".join(lines)


def diagnosed(record: Record) -> Diagnosis:
    """The diagnosis of a record, live or saved: the same for both."""
    return Diagnosis(diagnose(record, *record), record)
