"""Which findings make a command fail: those at or above a severity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from netwright.records.findings import SEVERITIES, Finding

FailOn = Literal["stop", "warn", "note", "never"]


def reaches(findings: Iterable[Finding], fail_on: FailOn) -> bool:
    """Whether one of the findings is as bad as `fail_on`, or worse."""
    if fail_on == "never":
        return False
    bad = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return any(each.severity in bad for each in findings)
