"""What came of watching one script: its ending, the findings of all its patients, the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.records.findings import SEVERITIES, Finding
from netwright.records.severity import FailOn, reaches
from netwright.tasks.launching import Ending

if TYPE_CHECKING:  # at run time they bring torch, which the script must import by itself
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.records.facts.left_out import LeftOut


@dataclass(frozen=True, kw_only=True)
class Doctored:
    """What came of it: how the script ended, what was found, and where it is written."""

    ending: Ending
    findings: tuple[tuple[int, Finding], ...] = ()
    """Each with the number of its patient, roots before symptoms."""
    patients: int = 0
    steps: int = 0
    run: Path | None = None
    costs: Sequence[Mapping[str, Any]] = ()
    left_out: Sequence[tuple[int, LeftOut]] = ()
    """What the check-ups did not look at, by the number of the patient."""
    fault: str = ""
    alone: bool = False
    """Whether nobody watched it, for it is one of several ranks of one training."""

    def exit_code(self, fail_on: FailOn) -> int:
        """4 if a finding stands at or above `fail_on`, else that of the script."""
        return 4 if reaches([each for _, each in self.findings], fail_on) else self.ending.status

    def to_json(self, command: str) -> dict[str, Any]:
        return {
            "command": command,
            "status": self.ending.status,
            "why": self.ending.why,
            "findings": [{**each.to_json(), "patient": number} for number, each in self.findings],
            "run": str(self.run) if self.run is not None else None,
            "steps": self.steps,
            "patients": self.patients,
            "cost": list(self.costs),
            "left_out": [{**each.to_json(), "patient": number} for number, each in self.left_out],
            "fault": self.fault or None,
        }


def came_of(
    ending: Ending,
    found: Mapping[int, Diagnosis],
    *,
    patients: int,
    run: Path | None,
    fault: str = "",
) -> Doctored:
    """All of it, from the diagnoses by the number of their patient."""
    return Doctored(
        ending=ending,
        findings=tuple(in_order(found)),
        patients=patients,
        steps=steps_of(found),
        run=run,
        costs=[_cost(each.record) for each in found.values()],
        left_out=[(n, each.left_out) for n, each in found.items() if each.left_out is not None],
        fault=fault,
    )


def in_order(found: Mapping[int, Diagnosis]) -> list[tuple[int, Finding]]:
    """All findings: patients by the worst of theirs, and each one's as its diagnosis ranks them, a
    root before its symptoms."""
    worst = {
        number: min((SEVERITIES.index(each.severity) for each in one.findings), default=0)
        for number, one in found.items()
    }
    told: dict[tuple[int, str], int] = {}
    kept = []
    for number in sorted(found, key=lambda each: (worst[each], each)):
        for each in found[number].findings:
            key = of_loss(found[number], each)
            if key is None or told.setdefault(key, number) == number:
                kept.append((number, each))
    return kept


def of_loss(diagnosis: Diagnosis, finding: Finding) -> tuple[int, str] | None:
    """What a finding is called that patients of one loss have in common: it is told once."""
    from netwright.records.facts.setup import Setup

    setup = diagnosis.record.get(Setup)
    if setup is None or not setup.loss_group or finding.layers:
        return None
    return setup.loss_group, finding.name


def steps_of(found: Mapping[int, Diagnosis]) -> int:
    """How many steps the patient took that took most."""
    from netwright.records.facts.steps import Steps

    facts = (each.record.get(Steps) for each in found.values())
    return max((each.total if each is not None else 0 for each in facts), default=0)


def _cost(record: Any) -> dict[str, Any]:
    from netwright.records.facts.cost import Cost

    cost = record.get(Cost) or Cost()
    return {
        "share": cost.share,
        "seconds": cost.seconds,
        "hooks": cost.hooks,
        "looks": cost.looks,
        "looked": cost.looked,
        "checkup": cost.checkup,
        "budget": cost.budget,
    }
