"""The error that ends a loop which asked to be ended when something is certainly wrong."""

from __future__ import annotations

from netwright.core.errors import CheckFailedError
from netwright.doctor.diagnosis import Diagnosis
from netwright.records.findings import Finding


class FindingError(CheckFailedError):
    """Raised between two steps by `watch(..., on_stop="raise")`; `finding` says what was found,
    `diagnosis` is all of it."""

    def __init__(self, finding: Finding, diagnosis: Diagnosis) -> None:
        super().__init__(
            "{name}: {what}",
            hint="Would be wrong if {reason}",
            name=finding.name,
            what=finding.what,
            reason=finding.wrong_if,
        )
        self.finding = finding
        self.diagnosis = diagnosis
