"""A run that ended while its loss was falling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import EARLY, Course, course, steps_of
from netwright.doctor.conditions._rate import rate_gone
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.doctor.conditions._validation import guessing
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

MORE = 0.05
"""Fall in the next fifth of the steps that is worth going on for."""

MUCH = 0.1
"""The same that is a warning, where validation falls as well."""

SOME = 0.02
"""The same that will do where the run is far from what a plain network came to."""

LEFT = 0.3
"""Part of the loss of guessing that must be there still."""

FEW = 2
"""Validations that make a training of a loop with few steps."""

SHORT = 12
"""Steps below which nothing is said of where the loss would go."""

RATE = 0.5
"""Of its peak: a rate that the plan has lowered says that the end was meant."""


@CONDITIONS.register(
    "stopped-early",
    reads=Record,
    when="after epochs",
    group="rate",
    severity="warn",
    yields_to=("slow-convergence", "learning-rate-too-low", "overfitting"),
)
def stopped_early(record: Record) -> Iterator[Finding]:
    """The plan is at its end, and the loss still falls.

    Why it hurts: more epochs would give a better network for the asking.

    Evidence: the loss, extrapolated from the later half in its logarithm: its fall over the next
    fifth of the steps, above 5 %, at the end of the plan; where validation was seen, its loss is
    at its least. A note: the plan may be all the time there is. A warning where the loop came to
    its own end with the rate still up, a third of the loss of guessing is left, it would fall by a
    tenth, and the validation loss fell by as much in the last fifth of the epochs; or where it
    would fall by 2 % and is far above what a plain network came to on the same data in a moment.

    Would be wrong if: the validation loss no longer falls.

    Not to be confused with: a run that learns its training samples by heart.

    Treatment: more epochs; ask.
    """
    found, setup, steps = course(record), record.get(Setup), steps_of(record)
    loop, epochs = record.get(Loop), record.get(Epochs)
    ended = loop is not None and loop.ended
    plan = (setup.planned_steps if setup is not None else None) or (ended and loop and loop.steps)
    few = SHORT if ended and epochs is not None and len(epochs.epochs) >= FEW else EARLY
    if found is None or steps is None or not plan or found.steps < max(few, plan):
        return
    if not found.learned or found.done or len(found.windows) < 8 or rate_gone(steps):
        return
    if too_high(record) or too_low(record) or _past_best(record):
        return
    fall = to_come(found)
    harm = _falling(record, found, steps) if ended and fall >= MUCH else None
    if harm is None and ended and fall >= SOME and _rate_up(steps) and _still_better(epochs):
        harm = behind(record, found)
    # Where nobody told the plan, its end is known by the loop's own alone.
    if (fall < MORE and harm is None) or (harm is None and not (setup and setup.planned_steps)):
        return
    yield Finding(
        name="stopped-early",
        severity="warn" if harm else "note",
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
            *([harm] if harm else []),
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


def _falling(record: Record, found: Course, steps: Steps) -> Evidence | None:
    """The validation loss falls as fast as ever when the loop ends, with much left to learn."""
    told, guess = record.get(Epochs), guessing(record)
    seen = [each for each in (told.epochs if told else ()) if each.val_loss is not None]
    if len(seen) < 2 or guess is None or found.latest < LEFT * guess:
        return None
    if not _rate_up(steps):
        return None
    last = seen[-1]
    before = seen[-1 - max(1, len(seen) // 5)]
    now, then = float(last.val_loss or 0.0), float(before.val_loss or 0.0)
    error = max(last.val_loss_error or 0.0, before.val_loss_error or 0.0)
    if now < LEFT * guess or then - now < max(MUCH * then, 2 * error):
        return None
    return Evidence(
        signal=Phrase("validation loss at the end, against that {count} epochs before",
                      count=last.epoch - before.epoch),
        value=now,
        baseline=then,
        threshold=(1 - MUCH) * then,
        witness="harm",
        step=last.step,
    )  # fmt: skip


def _still_better(epochs: Epochs | None) -> bool:
    """Whether the last validation was clearly the best one."""
    losses = [e.val_loss for e in (epochs.epochs if epochs else ()) if e.val_loss is not None]
    return len(losses) >= FEW and losses[-1] < (1 - SOME) * min(losses[:-1])


def _rate_up(steps: Steps) -> bool:
    """Whether the rate is still near its peak: a plan that had lowered it meant the end."""
    lr = steps.lr[np.isfinite(steps.lr)]
    return not len(lr) or bool(lr[-1] >= RATE * lr.max())


def to_come(found: Course) -> float:
    """The relative fall of the loss over a fifth of the steps so far, if it goes on as it did."""
    half = len(found.windows) // 2
    at, logs = found.ends[half:], np.log(np.maximum(found.windows[half:], 1e-12))
    slope = float(np.polyfit(at, logs, 1)[0])
    return 1.0 - float(np.exp(slope * 0.2 * found.steps))


def _past_best(record: Record) -> bool:
    epochs = record.get(Epochs)
    seen = [e for e in epochs.epochs if e.val_loss is not None] if epochs else []
    losses = [e.val_loss or 0.0 for e in seen]
    return len(losses) > 1 and losses[-1] > min(losses) + 2 * (seen[-1].val_loss_error or 0.0)
