"""A run that ended while its loss was falling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, Course, course, steps_of
from netwright.doctor.conditions._rate import rate_gone, too_high, too_low
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

MORE = 0.05
"""Fall in the next fifth of the steps that is worth going on for."""


@CONDITIONS.register(
    "stopped-early",
    reads=Record,
    when="after epochs",
    group="rate",
    severity="note",
    yields_to=("slow-convergence", "learning-rate-too-low", "overfitting"),
)
def stopped_early(record: Record) -> Iterator[Finding]:
    """The plan is at its end, and the loss still falls.

    Why it hurts: more epochs would give a better network for the asking.

    Evidence: the loss, extrapolated from the later half in its logarithm: its fall over the next
    fifth of the steps, above 5 %, at the end of the plan; where validation was seen, its loss is
    at its least. A note: the plan may be all the time there is.

    Would be wrong if: the validation loss no longer falls.

    Not to be confused with: a run that learns its training samples by heart.

    Treatment: more epochs; ask.
    """
    found, setup, steps = course(record), record.get(Setup), steps_of(record)
    plan = setup.planned_steps if setup is not None else None
    if found is None or steps is None or not plan or found.steps < max(EARLY, plan):
        return
    if not found.learned or found.done or len(found.windows) < 8 or rate_gone(steps):
        return
    if too_high(record) or too_low(record) or _past_best(record):
        return
    fall = to_come(found)
    if fall < MORE:
        return
    yield Finding(
        name="stopped-early",
        severity="note",
        step=found.steps,
        what=Phrase("The run ended after {steps} steps while its loss was falling",
                    steps=found.steps),
        evidence=(
            Evidence(
                signal=Phrase("fall of the loss in the next fifth of the steps, extrapolated"),
                value=fall,
                threshold=MORE,
                unit="share",
                step=found.steps,
            ),
        ),
        formula="log loss = a + b step over the later half",
        cause=Phrase("The plan ends before the loss has come to rest."),
        confidence=0.6,
        wrong_if=Phrase("the validation loss no longer falls"),
        treatments=(
            Treatment(
                name="more-epochs",
                grade="ask",
                why=Phrase("Plan more epochs, with a schedule that ends with them."),
            ),
        ),
    )  # fmt: skip


def to_come(found: Course) -> float:
    """The relative fall of the loss over a fifth of the steps so far, if it goes on as it did."""
    half = len(found.windows) // 2
    at, logs = found.ends[half:], np.log(np.maximum(found.windows[half:], 1e-12))
    slope = float(np.polyfit(at, logs, 1)[0])
    return 1.0 - float(np.exp(slope * 0.2 * found.steps))


def _past_best(record: Record) -> bool:
    epochs = record.get(Epochs)
    losses = [e.val_loss for e in epochs.epochs if e.val_loss is not None] if epochs else []
    return len(losses) > 1 and losses[-1] > min(losses)
