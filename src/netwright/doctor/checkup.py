"""Before the first step: every probe looks at the patient, within a budget of time."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.data.reading import forget
from netwright.doctor.deadline import Deadline
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.objective import told
from netwright.records.facts.left_out import LeftOut

SECONDS = 10.0
"""What a check-up may take unless more is asked for."""


def examine(patient: Patient, *, seconds: float = SECONDS) -> Iterator[object]:
    """The facts that the probes find, the cheap and telling ones first.

    A probe for which something of the patient is missing is not asked. One that fails, or for
    which no time is left, is named in a last fact, `LeftOut`, and the others go on; so is what a
    probe did less of to be done in time. A deadline that the patient came with stands.
    """
    deadline = patient.deadline if patient.deadline.set else Deadline(seconds)
    patient.deadline = deadline
    failed: list[tuple[str, str]] = []
    late: list[str] = []
    try:
        for entry in sorted(PROBES, key=lambda each: each.facts.get("order", 50)):
            if any(not getattr(patient, need) for need in entry.facts.get("needs", ())):
                continue
            if deadline.over:
                late.append(entry.name)
                continue
            deadline.probe = entry.name
            try:
                yield from entry.target(patient)
            except Exception as error:  # somebody's network, loss and data run here
                failed.append((entry.name, f"{type(error).__name__}: {error}".partition("\n")[0]))
    finally:
        patient.deadline = Deadline()
        patient.workings.clear()  # passes with their graphs
        forget(patient)
    if failed or late or deadline.shed:
        yield LeftOut(
            failed=tuple(failed),
            late=tuple(late),
            shed=tuple(deadline.shed),
            seconds=seconds,
        )


def glance(patient: Patient, sample: Sample) -> Iterator[object]:
    """What is known without a check-up and for nothing: the loss that the loop itself computed, the
    values that went into it and the graph it left. No pass is made."""
    try:
        yield told(patient, sample, again=False)
    except Exception as error:  # somebody's loss
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        yield LeftOut(failed=(("objective", reason),))
