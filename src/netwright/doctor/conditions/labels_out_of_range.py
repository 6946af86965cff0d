"""Labels that are no index of an output."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._labels import LabelRange, range_of, shifted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "labels-out-of-range",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
    yields_to=("labels-shifted",),
)
def labels_out_of_range(record: Record) -> Iterator[Finding]:
    """A label is below 0, or not below the number of outputs, and is not the one to be ignored.

    Why it hurts: a label is the place of its output. Where there is none the loss ends with an
    error, on a GPU with an assertion after which nothing works; a negative one may count from the
    end in a loss by hand, and then trains the wrong class in silence.

    Evidence: the labels of the training set as far as they were read, or those of the batch whose
    loss raised, against the number of outputs.

    Would be wrong if: these samples are left out before the loss.

    Not to be confused with: labels 1 .. C instead of 0 .. C - 1 (labels-shifted); a label that is
    ignored on purpose (-100, or 255 with ignore_index=255).

    Treatment: as many outputs as labels, a mapping of the labels, or ignore_index; ask.

    Source: the documentation of torch.nn.CrossEntropyLoss.
    """
    found = range_of(record)
    if found is None or found.room is None or shifted(found) is not None:
        return
    if found.binary or (found.low >= 0 and found.high < found.room):
        return
    below = found.low < 0
    lone = found.low if below else found.high
    ignorable = found.ignore_code if found.distinct_outside == 1 else ""
    yield Finding(
        name="labels-out-of-range",
        severity="stop",
        step=found.step,
        what=Phrase(
            "Labels go from {low} to {high}, and there are {room} outputs",
            low=found.low,
            high=found.high,
            room=found.room,
        ),
        evidence=(
            Evidence(
                signal=Phrase("the least label") if below else Phrase("the largest label"),
                value=lone,
                threshold=0 if below else found.room - 1,
            ),
            _harm(found),
        ),
        cause=Phrase("A label is taken for the place of an output, and there is none at this one."),
        wrong_if=Phrase("these samples are left out before the loss"),
        not_to_be_confused_with=Phrase("a label that the loss is told to ignore"),
        treatments=(
            Treatment(
                name="map-labels",
                grade="ask",
                why=Phrase("One output for each label, or labels mapped to 0 .. C - 1."),
                code=f"model = ...  # with num_classes={found.high + 1}"
                if not below
                else ignorable,
            ),
            *([_shift()] if below else []),
        ),
    )


def _shift() -> Treatment:
    return Treatment(
        name="shift-labels",
        grade="ask",
        why=Phrase("If the labels are counted from another number than 0, subtract that."),
        code="target = target - low",
    )


def _harm(found: LabelRange) -> Evidence:
    if found.failed:
        return Evidence(
            signal=Phrase("steps made until the loss ended with an error"),
            value=(found.step or 1) - 1,
            witness="harm",
            step=found.step,
        )
    return Evidence(
        signal=Phrase("samples that the loss cannot be computed on"),
        value=found.outside / max(found.known, 1),
        baseline=0,
        unit="share",
        witness="harm",
    )
