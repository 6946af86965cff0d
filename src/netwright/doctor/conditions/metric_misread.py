"""An accuracy read along the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

FAR = 0.1
"""How far below what its loss proves a score must lie: the two are of the same samples, but a loop
may count a part of them."""

EPOCHS = 2


@CONDITIONS.register(
    "metric-misread",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
)
def metric_misread(record: Record) -> Iterator[Finding]:
    """The score that is watched is not that of the network, mostly an argmax along the batch.

    Why it hurts: the number that is watched says nothing about the network, and good runs are
    thrown away for it.

    Evidence: the call itself, seen between the loss and its backward pass: argmax or max over axis
    0 of the logits (N, C) that the loss reads along axis 1, compared with the labels. In
    validation: a row of predictions compared with a column of labels, or the place of the largest
    of one score; a score below what the loss of the very same samples proves. The right class has a
    probability of one half at most where the answer is wrong, so a wrong answer costs ln 2 or more,
    and a cross-entropy of 0.1 leaves room for 15 % of wrong answers.

    Would be wrong if: the samples lie along axis 1, then the loss reads them wrongly; or the
    answers that are counted are not those of the output that the loss was given.

    Not to be confused with: what cannot be proved from a loop, and is not said: a mean over
    batches of unequal size, a metric computed elsewhere, or from other predictions.

    Treatment: the axis of the classes, mostly 1 or -1; code.

    Source: none: it follows from the shapes.
    """
    loop = record.get(Loop)
    if loop is None or loop.misread_looks < 2:
        found = tuple(_by_shape(record))
        yield from found or _below_proof(record)
        return
    yield Finding(
        name="metric-misread",
        severity="warn",
        what=Phrase("Predictions are taken along axis 0 of the logits, the batch"),
        evidence=(
            Evidence(
                signal=Phrase("steps looked at with an argmax over the batch, against labels"),
                value=loop.misread_looks,
                baseline=0,
            ),
            Evidence(
                signal=Phrase("predictions got, where there are so many labels"),
                value=loop.misread_sizes[0],
                baseline=loop.misread_sizes[1],
                witness="harm",
            ),
        ),
        cause=Phrase("argmax was given the axis of the samples."),
        wrong_if=Phrase("the samples lie along axis 1"),
        treatments=(
            Treatment(
                name="class-axis",
                grade="advice",
                why=Phrase("Take the largest logit along the axis of the classes."),
                code="logits.argmax(1)",
            ),
        ),
    )


def _by_shape(record: Record) -> Iterator[Finding]:
    """Predictions of validation whose shapes alone say that they are none."""
    told = record.get(Epochs)
    seen = told.epochs if told is not None else ()
    crossed = [each for each in seen if each.val_broadcast]
    single = [each for each in seen if each.val_single]
    found = crossed or single
    if len(found) < EPOCHS:
        return
    last = found[-1]
    yield Finding(
        name="metric-misread",
        severity="warn",
        step=found[0].step,
        what=Phrase("Predictions in a row are compared with labels in a column: each with all")
        if crossed
        else Phrase("Predictions are the place of the largest of one score, which is always 0"),
        evidence=(
            Evidence(
                signal=Phrase("evaluations that compare (N,) with (N, 1)")
                if crossed
                else Phrase("evaluations with an argmax over an axis of one score"),
                value=len(found),
                baseline=0,
            ),
            Evidence(
                signal=Phrase("score that the loop counts, which is not that of the network"),
                value=last.val_score if last.val_score is not None else float("nan"),
                unit="share",
                witness="harm",
                step=last.step,
            ),
        ),
        cause=Phrase("The shapes are (N,) and (N, 1): the comparison has N x N answers.")
        if crossed
        else Phrase("One score a sample is no choice among classes: it is to be held to a bound."),
        wrong_if=Phrase("the score is of another output than the loss"),
        treatments=(
            Treatment(
                name="same-shape",
                grade="advice",
                why=Phrase("Give both one shape; of one logit, ask whether it is above 0."),
                code="preds = (logits > 0).long().view_as(labels)",
            ),
        ),
    )


def _below_proof(record: Record) -> Iterator[Finding]:
    """A validation score that its own loss says cannot be."""
    told = record.get(Epochs)
    low = [each for each in (told.epochs if told is not None else ()) if _missing(each) > FAR]
    if len(low) < EPOCHS:
        return
    worst = max(low, key=_missing)
    score, least = worst.val_score or 0.0, worst.val_least_score or 0.0
    yield Finding(
        name="metric-misread",
        severity="warn",
        step=low[0].step,
        what=Phrase("Predictions in validation are taken along axis 0 of the logits, the batch")
        if worst.val_across
        else Phrase("The score in validation is not that of the network"),
        evidence=(
            Evidence(
                signal=Phrase("least score that the validation loss of {loss:.3g} leaves room for",
                              loss=worst.val_loss or 0.0),
                value=least,
                threshold=score + FAR,
                unit="share",
                step=worst.step,
            ),
            Evidence(
                signal=Phrase("score that the loop counts, against that"),
                value=score,
                baseline=least,
                unit="share",
                witness="harm",
                step=worst.step,
            ),
        ),
        formula="score >= 1 - loss / ln 2",
        cause=Phrase("argmax was given the axis of the samples.")
        if worst.val_across
        else Phrase("The answers that are counted are others, or are compared with other labels."),
        wrong_if=Phrase("the score is of another output than the loss"),
        treatments=(
            Treatment(
                name="class-axis",
                grade="advice",
                why=Phrase("Take the largest logit along the axis of the classes."),
                code="logits.argmax(1)",
            ),
        ),
    )  # fmt: skip


def _missing(epoch: EpochFact) -> float:
    """How far the score lies below what the loss proves."""
    if epoch.val_score is None or epoch.val_least_score is None:
        return 0.0
    return epoch.val_least_score - epoch.val_score
