"""Which findings can be treated in the middle of a training."""

from __future__ import annotations

from netwright.doctor.diagnosis import Diagnosis
from netwright.records.findings import SEVERITIES, Finding, Severity

TREATABLE: dict[str, Severity] = {
    "nonfinite": "stop",
    "divergence": "stop",
    "exploding-gradients": "stop",
    "dead-relu": "stop",
    "learning-rate-too-high": "warn",
    "loss-spike": "warn",
}
"""Conditions that going back with a lower rate or with clipping may cure, and how bad they must be.
The two of severity `warn` are so only where the run itself is harmed: a spike that came back is a
note, and so is a rate that does no harm."""

EARLY = 40
"""Steps before which a rate is judged by the check-up's trial alone: the run may have a warm-up,
and nothing is gone back on for what has not happened."""


def treatable(diagnosis: Diagnosis, *, steps: int) -> Finding | None:
    """The first root among the alarms that can be treated now; None where there is none, or where
    what is behind it cannot be treated so. `steps` were taken."""
    alarms = [each for each in diagnosis.findings if each.severity != "note"]
    names = {each.name for each in alarms}
    for each in alarms:
        bound = TREATABLE.get(each.name)
        if bound is None or not names.isdisjoint(each.yields_to):
            continue
        if each.name == "learning-rate-too-high" and each.severity != "stop" and steps < EARLY:
            continue
        if SEVERITIES.index(each.severity) <= SEVERITIES.index(bound):
            return each
    return None
