"""An accuracy read along the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "metric-misread",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
)
def metric_misread(record: Record) -> Iterator[Finding]:
    """The predicted class is taken along the batch instead of along the classes.

    Why it hurts: the number that is watched says nothing about the network, and good runs are
    thrown away for it.

    Evidence: the call itself, seen between the loss and its backward pass: argmax or max over axis
    0 of the logits (N, C) that the loss reads along axis 1, compared with the labels.

    Would be wrong if: the samples lie along axis 1; then the loss reads them wrongly.

    Not to be confused with: what cannot be proved from a loop, and is not said: a mean over
    batches of unequal size, a metric computed elsewhere, or from other predictions.

    Treatment: the axis of the classes, mostly 1 or -1; code.

    Source: none: it follows from the shapes.
    """
    loop = record.get(Loop)
    if loop is None or loop.misread_looks < 2:
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
