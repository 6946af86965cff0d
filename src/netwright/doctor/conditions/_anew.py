"""Epochs that begin where the first one began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import course, steps_of
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

Array = np.ndarray[Any, np.dtype[np.float64]]

EPOCHS = 4

ERRORS = 4.0
"""Standard errors by which the beginnings must lie above the ends of the epochs before."""

BACK = 0.7
"""Of what an epoch gained: so much of it is gone when the next one begins, in the mean."""

LITTLE = 0.1
"""Part of what an epoch gained, that all later ones together may have added to it."""

LEARNED = 0.7
"""Of the first loss: what an epoch must have come under before it can be lost."""

BEYOND = 2.0
"""Times the first loss: a leap so far above it is no way back, the weights were thrown off."""

LEAP = 0.25
"""Of the first loss: a leap of one step over an evaluation, between which nobody trained."""


def anew(record: Record) -> Iterator[Finding]:
    """The weights at the beginning of an epoch are not those at the end of the one before."""
    told, steps, found = record.get(Epochs), steps_of(record), course(record)
    if told is None or steps is None or found is None or found.done or found.broken is not None:
        return
    seen = [each for each in told.epochs if each.val_loss is not None]
    heads, tails = _ends(steps.step, steps.loss, seen)
    if len(heads) != len(seen) or len(heads) < EPOCHS:
        return
    after = np.array([each.val_loss for each in seen])
    at = 0 if _again(heads, tails, after) else _once(heads, tails, after)
    if at is None:
        return
    last = float(tails[-max(2, len(tails) // 3) :].mean())
    yield Finding(
        name="nondeterministic-restart",
        severity="warn",
        step=seen[at].step + 1,
        what=Phrase("Epoch {number} begins with the loss of the first one, {loss:.3g}",
                    number=at + 2, loss=float(heads[at + 1])),
        evidence=(
            Evidence(
                signal=Phrase("loss at the beginning of an epoch, against validation just before"),
                value=float(heads[at + 1]),
                baseline=float(after[at]),
                step=seen[at].step,
            ),
            Evidence(
                signal=Phrase("loss at the end of the last epochs, against the end of that one"),
                value=last,
                baseline=float(tails[at]),
                witness="harm",
                step=found.steps,
            ),
        ),
        cause=Phrase("Something sets the weights back between two epochs: they are drawn or loaded "
                     "anew, or the network is."),
        confidence=0.85,
        wrong_if=Phrase("each epoch is a training of its own, as of a fold or of a task"),
        not_to_be_confused_with=Phrase("data that come in one order, the last of which is learned"),
        treatments=(
            Treatment(
                name="build-once",
                grade="advice",
                why=Phrase("Build the network and draw its weights once, before the loop over the "
                           "epochs."),
            ),
        ),
    )  # fmt: skip


def _again(heads: Array, tails: Array, after: Array) -> bool:
    """Whether nearly all that an epoch gains is gone each time. Where the data come in one order,
    what is forgotten is forgotten by the weights, and validation after the epoch shows it."""
    rises, gained = heads[1:] - tails[:-1], heads - tails
    error, gain = float(rises.std(ddof=1)) / len(rises) ** 0.5, float(gained.mean())
    if tails[0] >= heads[0] or gain <= 0 or float(rises.mean()) < max(BACK * gain, ERRORS * error):
        return False
    added = float(tails[0] - tails[-max(2, len(tails) // 3) :].mean())
    chance = 2 * float(tails.std(ddof=1)) / len(tails) ** 0.5
    if added > LITTLE * gain + chance:
        return False
    return float(np.median(after)) <= float(np.median(tails)) + 0.5 * gain


def _once(heads: Array, tails: Array, after: Array) -> int | None:
    """The epoch after which the loss leapt back to its beginning over an evaluation, for good."""
    rises = heads[1:] - tails[:-1]
    leaps = (
        (rises > LEAP * heads[0])
        & (heads[1:] > (1 - LITTLE) * heads[0])
        & (heads[1:] < BEYOND * heads[0])
        & (after[:-1] < tails[:-1] + 0.3 * rises)
        & (tails[:-1] < LEARNED * heads[0])
    )
    if not leaps.any():
        return None
    at = int(leaps.argmax())
    lost = float(tails[-max(2, len(tails) // 3) :].mean()) - float(tails[at])
    return at if lost > 0.5 * float(rises[at]) else None


def _ends(step: Array, loss: Array, epochs: list[EpochFact]) -> tuple[Array, Array]:
    """Mean loss at the beginning and at the end of each epoch, of a sixth of its steps."""
    heads, tails, begin = [], [], 0
    for each in epochs:
        rows = loss[(step > begin) & (step <= each.step) & np.isfinite(loss)]
        if len(rows) >= 6:
            part = max(1, len(rows) // 6)
            heads.append(float(rows[:part].mean()))
            tails.append(float(rows[-part:].mean()))
        begin = each.step
    return np.array(heads), np.array(tails)
