"""The witnesses of harm that need more than the training's own steps: what validation says against
training, and how far the loss is from guessing over the whole set.

Each gives evidence or nothing, and is never enough by itself: a gap, a hard task and a short run
are healthy as long as no cause is proven beside them.
"""

from __future__ import annotations

import math

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import entropy_of_labels
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence
from netwright.records.record import Record

EPOCHS = 3
"""Evaluations below which a gap may be that of the beginning."""

BEHIND = 0.25
"""Validation loss above the training's by this part of what guessing costs. Measured on the twelve
set-ups of the bench when healthy: 0.00 to 0.12."""

APART = 3.0
"""And by so many standard errors, and as many times the training loss."""

LEARNED = 0.5
"""A training loss under this part of guessing has learned something."""

SLOW = 0.1
"""Part of a run after which its loss should have come under that of a constant."""


def guessing(record: Record) -> float | None:
    """The loss of the best constant in the unit of the loop: over all labels where they were read,
    else over the first batch."""
    objective, found = record.get(Objective), course(record)
    if objective is None or found is None:
        return None
    whole = entropy_of_labels(record)
    if whole is not None:
        return whole * (objective.factor or 1.0)
    if found.guess is None and objective.kind == "cross_entropy" and objective.classes:
        return math.log(max(objective.classes, 2))  # at the most: with even shares
    return found.guess


def far_behind(record: Record, share: float = BEHIND, *, times: float = APART) -> Evidence | None:
    """Over the last third of the run validation costs far more than training."""
    late, guess = _late(record), guessing(record)
    if not late or guess is None or guess <= 0:
        return None
    train, val = _median(late, "train_loss"), _median(late, "val_loss")
    error = _median(late, "val_loss_error")
    if val - train <= max(share * guess, APART * error) or val < times * train:
        return None
    return Evidence(
        signal=Phrase("validation loss over that of training, as a part of what guessing costs"),
        value=(val - train) / guess,
        baseline=0.0,
        threshold=share,
        unit="share",
        witness="harm",
        step=late[-1].step,
    )


def worse_than_guessing(record: Record) -> Evidence | None:
    """Training has learned, and on validation a constant would do better."""
    late, guess = _late(record), guessing(record)
    if not late or guess is None or guess <= 0:
        return None
    train, val = _median(late, "train_loss"), _median(late, "val_loss")
    if train >= LEARNED * guess or val - 2 * _median(late, "val_loss_error") <= guess:
        return None
    return Evidence(
        signal=Phrase("loss in validation, against that of the best constant"),
        value=val,
        baseline=guess,
        threshold=guess,
        witness="harm",
        step=late[-1].step,
    )


def unlearned(record: Record, share: float = 0.9) -> Evidence | None:
    """Whatever training says, validation is still about as bad as guessing."""
    late, guess = _late(record), guessing(record)
    if not late or guess is None or guess <= 0:
        return None
    val = _median(late, "val_loss")
    if val < share * guess:
        return None
    return Evidence(
        signal=Phrase("loss in validation, against that of the best constant"),
        value=val,
        baseline=guess,
        threshold=share * guess,
        witness="harm",
        step=late[-1].step,
    )


def _late(record: Record) -> list[EpochFact]:
    """The last third of the epochs in which both losses were seen, two of them at the least."""
    told, setup = record.get(Epochs), record.get(Setup)
    if told is None or (setup is not None and setup.special):
        return []
    seen = [e for e in told.epochs if e.train_loss is not None and e.val_loss is not None]
    return seen[-max(2, len(seen) // 3) :] if len(seen) >= EPOCHS else []


def _median(epochs: list[EpochFact], name: str) -> float:
    return float(np.median([getattr(each, name) or 0.0 for each in epochs]))


def little_learned(record: Record, share: float = LEARNED, steps: int = 200) -> Evidence | None:
    """After many steps the loss is still more than half of what guessing costs, and at rest."""
    found, guess = course(record), guessing(record)
    if found is None or found.broken is not None or guess is None or guess <= 0:
        return None
    if found.steps < steps or len(found.windows) < 8 or found.latest < share * guess:
        return None
    half = len(found.windows) // 2
    early = float(np.median(found.windows[half : half + max(1, half // 2)]))
    if early - found.latest > 0.1 * early:  # it goes on
        return None
    return Evidence(
        signal=Phrase("loss at the end, at rest, against that of the best constant"),
        value=found.latest,
        baseline=guess,
        threshold=share * guess,
        witness="harm",
        step=found.steps,
    )


def late_start(record: Record, share: float = SLOW) -> Evidence | None:
    """A good part of the run went by before the loss was below that of a constant."""
    found, guess = course(record), guessing(record)
    if found is None or guess is None or guess <= 0 or found.begin <= 2 * guess:
        return None
    below = np.flatnonzero(found.windows < guess)
    until = float(found.ends[below[0]]) if len(below) else float(found.steps)
    loop = record.get(Loop)
    if until < (15 if loop is not None and loop.ended else 40) or until / found.steps <= share:
        return None
    return Evidence(
        signal=Phrase("part of the run that was spent above the loss of the best constant"),
        value=until / found.steps,
        baseline=0.0,
        threshold=share,
        unit="share",
        witness="harm",
        step=int(until),
    )
