"""Conditions of special loops that are known and have no rule yet: they are listed and explained,
and nobody asks them."""

from __future__ import annotations

from netwright.records.findings import Finding

LATER = "once its kind of task is trained here"


def nothing(record: object) -> tuple[Finding, ...]:
    """What a condition without a rule finds, whatever it is given."""
    return ()
