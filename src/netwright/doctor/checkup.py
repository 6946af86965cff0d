"""Before the first step: every probe looks at the patient, within a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES

SECONDS = 10.0
"""What a check-up may take unless more is asked for."""


def examine(
    patient: Patient,
    *,
    seconds: float = SECONDS,
    on_fault: Callable[[str, BaseException], None] | None = None,
) -> Iterator[object]:
    """The facts that the probes find, the cheap and telling ones first.

    A probe for which something is missing is left out, and so are those for which no time is left;
    one that fails is told to `on_fault` and the others go on.
    """
    began = time.perf_counter()
    for entry in sorted(PROBES, key=lambda each: each.facts.get("order", 50)):
        if any(not getattr(patient, need) for need in entry.facts.get("needs", ())):
            continue
        if time.perf_counter() - began > seconds:
            return
        try:
            yield from entry.target(patient)
        except Exception as error:
            if on_fault is not None:
                on_fault(entry.name, error)
