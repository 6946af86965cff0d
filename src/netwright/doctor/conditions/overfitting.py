"""The validation loss has turned and rises, while the training loss goes on falling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._validation import guessing
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

Array = np.ndarray[Any, np.dtype[np.float64]]

RISE = 0.10
"""Above its least value by this part: less is the noise of an epoch."""

ERRORS = 2.0
"""And by this many standard errors of the validation loss."""

LUCK = 2.0
"""And by so many times its scatter from epoch to epoch: the least of many is low by luck."""

LOST = 0.1
"""And, where the score has not fallen too, by this part of all that was gained since guessing: of
a loss of which little is left a tenth more is nothing anybody would miss."""

FELL = 0.05
"""Of the training loss: less is a run at rest whose validation wanders."""

LASTING = 3
"""Evaluations since the least: two in a row may be above it by chance."""


@CONDITIONS.register(
    "overfitting",
    reads=Record,
    when="after epochs",
    group="generalisation",
    severity="warn",
    yields_to=(
        "labels-inconsistent",
        "inconsistent-preprocessing",
        "wrong-mode",
        "label-noise",
        "duplicate-samples",
        "stuck-data-feed",
        "distribution-shift",
        "class-imbalance",
        "unshuffled-data",
        "batchnorm-bad-momentum",
    ),
)
def overfitting(record: Record) -> Iterator[Finding]:
    """The network gets better on what it has seen and worse on what it has not.

    Why it hurts: from the least validation loss on, every epoch makes predictions on new data
    worse calibrated, mostly worse; the time is spent for nothing.

    Evidence: the mean validation loss of the last two epochs above its least value by more than
    10 %, by more than two standard errors, by more than twice its scatter from epoch to epoch and
    by more than a tenth of what was gained on guessing (or the score has clearly fallen too), three
    evaluations or more since, while the training loss fell in the same epochs. Where the training
    loss is the higher one, as under strong augmentation, the rise must last for a quarter of the
    run.

    Would be wrong if: the validation set is so small that two standard errors are a handful of
    samples, or training and validation losses are not of one kind (label smoothing, mixup).

    Not to be confused with: a gap alone; training loss below validation loss is usual and does no
    harm while the latter falls. A score that stands or rises while the loss does, to within its
    standard error: then the network is too sure of itself, and not worse at deciding (a note). A
    validation loss that was never below guessing: nothing was learned that could be lost (a note; a
    network before it groks).

    Treatment: stop at the least validation loss; weight decay, dropout, augmentation, more data;
    ask.

    Source: Prechelt 1998, Early stopping, but when?; Guo et al. 2017, On calibration of modern
    neural networks, for losses that rise while scores do.
    """
    told = record.get(Epochs)
    seen = [each for each in (told.epochs if told else ()) if each.val_loss is not None]
    if len(seen) < 4:
        return
    losses = np.array([each.val_loss for each in seen], dtype=float)
    least = int(losses.argmin())
    if least >= len(seen) - LASTING:
        return
    latest = float(losses[-2:].mean())
    rise = latest - float(losses[least])
    error = _error(seen[least], seen[-1])
    scatter = _scatter(losses)
    guess = guessing(record)
    gained = (guess if guess is not None else float(losses[0])) - float(losses[least])
    bound = max(RISE * abs(float(losses[least])), ERRORS * error, LUCK * scatter)
    if not _decides_worse(seen, least):
        bound = max(bound, LOST * gained)
    if rise <= bound:
        return
    before, after = seen[least].train_loss, seen[-1].train_loss
    if before is None or after is None or after > (1 - FELL) * before:
        return
    # Training that is harder than what it is judged by (augmentation, dropout, wrong labels) has a
    # higher loss as long as little is known by heart: then a dip and a rise are not enough.
    later = len(seen) - 1 - least
    if latest < after and (later < max(3, len(seen) / 4) or rise <= 1.5 * LUCK * scatter):
        return
    scores = [each.val_score for each in seen]
    still_better = _improves(scores, least, seen[least].val_samples or 0)
    setup = record.get(Setup)
    never = guess is not None and float(losses[least]) >= guess
    yield Finding(
        name="overfitting",
        severity="note" if still_better or never else "warn",
        step=seen[least].step,
        what=Phrase(
            "The validation loss has risen since epoch {epoch}, from {least:.3g} to {latest:.3g}",
            epoch=seen[least].epoch,
            least=float(losses[least]),
            latest=latest,
        ),
        evidence=(
            Evidence(
                signal=Phrase("training loss since then"),
                value=after,
                baseline=before,
                step=seen[-1].step,
            ),
            Evidence(
                signal=Phrase("validation loss, mean of the last two epochs"),
                value=latest,
                baseline=float(losses[least]),
                threshold=float(losses[least]) + bound,
                witness="harm",
                step=seen[-1].step,
            ),
            *_scores(scores, least, seen[-1].step),
            *(
                [
                    Evidence(
                        signal=Phrase("parameters for each training sample"),
                        value=setup.trainable / setup.train_samples,
                    )
                ]
                if setup is not None and setup.train_samples
                else []
            ),
        ),
        formula="val(end) > val(least) + max(10 %, 2 errors, 2 scatter, gained / 10), train fell",
        confidence=0.9 if not still_better else 0.6,
        cause=Phrase("What is learned since then holds for the training data alone."),
        wrong_if=Phrase("the validation loss falls below its least value again later on"),
        not_to_be_confused_with=Phrase(
            "a training loss below the validation loss: that alone is usual"
        ),
        treatments=(
            Treatment(
                name="early-stop",
                grade="ask",
                why=Phrase("Keep the weights of epoch {epoch}.", epoch=seen[least].epoch),
            ),
            Treatment(
                name="regularise",
                grade="ask",
                why=Phrase("Augmentation first, then weight decay, dropout, a smaller network."),
            ),
            Treatment(
                name="select-features",
                grade="ask",
                why=Phrase("Of a table: leave out the columns that tell nothing of the targets."),
            ),
        ),
    )


def _decides_worse(seen: list[EpochFact], least: int) -> bool:
    """Whether the score has clearly fallen too since the loss was least."""
    late = [each.val_score for each in seen[-2:] if each.val_score is not None]
    best, count = seen[least].val_score, seen[least].val_samples
    if best is None or not late or not count:
        return False
    error = ((best * count + 2) * ((1 - best) * count + 2) / (count + 4)) ** 0.5 / (count + 4)
    return best - float(np.mean(late)) > ERRORS * error


def _scatter(losses: Array) -> float:
    """How far one epoch's loss is off by chance: half the spread of the steps from epoch to epoch
    over the later half, by their median deviation."""
    steps = np.diff(losses[len(losses) // 2 - 1 :])
    if len(steps) < 3:
        return 0.0
    return 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / 2**0.5


def _error(*epochs: EpochFact) -> float:
    return max(each.val_loss_error or 0.0 for each in epochs)


def _improves(scores: list[float | None], least: int, samples: int) -> bool:
    """Whether the score is as good as it was where the loss was least, or better: within the
    standard error of a share of so many samples."""
    if scores[least] is None or scores[-1] is None:
        return False
    then = float(scores[least] or 0.0)
    error = (max(then * (1 - then), 1 / samples) / samples) ** 0.5 if samples else 0.0
    later = [each for each in scores[least + 1 :] if each is not None]
    return bool(later) and float(np.mean(later[-2:])) >= then - error


def _scores(scores: list[float | None], least: int, step: int) -> list[Evidence]:
    if scores[least] is None or scores[-1] is None:
        return []
    return [
        Evidence(
            signal=Phrase("validation score at the end, against that at the least loss"),
            value=float(scores[-1] or 0.0),
            baseline=float(scores[least] or 0.0),
            unit="share",
            witness="harm",
            step=step,
        )
    ]
