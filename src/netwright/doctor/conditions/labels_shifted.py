"""Labels 1 .. C for outputs 0 .. C - 1."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._labels import range_of, shifted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "labels-shifted",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
)
def labels_shifted(record: Record) -> Iterator[Finding]:
    """The classes are counted from 1, and the outputs from 0.

    Why it hurts: the last class has no output, and the loss ends with an error on the first sample
    of it. With a binary loss labels 1 and 2 pull every output up, and 2 for ever.

    Evidence: the least label is 1, the largest is the number of outputs, none is 0; of one batch
    only where it is so large that a class 0 would have come by.

    Would be wrong if: class 0 exists and was not read yet.

    Not to be confused with: a class 0 for the background that no label has, where there is one
    output more than there are labels.

    Treatment: subtract 1 from the labels, here and wherever their names are looked up; ask.

    Source: the documentation of torch.nn.CrossEntropyLoss: labels lie in [0, C).
    """
    found = range_of(record)
    if found is None or shifted(found) is None:
        return
    harm = (
        Evidence(
            signal=Phrase("steps made until the loss ended with an error"),
            value=(found.step or 1) - 1,
            witness="harm",
            step=found.step,
        )
        if found.failed
        else Evidence(
            signal=Phrase("samples whose label has no output of its own"),
            value=found.outside / max(found.known, 1),
            baseline=0,
            unit="share",
            witness="harm",
        )
    )
    yield Finding(
        name="labels-shifted",
        severity="stop",
        step=found.step,
        what=Phrase("Labels go from 1 to {high} for outputs 0 to {last}",
                    high=found.high, last=found.high - 1),
        evidence=(
            Evidence(signal=Phrase("the least label"), value=1, baseline=0),
            Evidence(signal=Phrase("the largest label"), value=found.high,
                     threshold=found.high - 1),
            harm,
        ),
        confidence=1.0 if found.complete else 0.9,
        cause=Phrase("The labels are counted from 1."),
        wrong_if=Phrase("class 0 exists and was not read yet"),
        treatments=(
            Treatment(
                name="shift-labels",
                grade="ask",
                why=Phrase("Subtract 1 from the labels, here and where their names are looked up."),
                code="target = target - 1",
            ),
        ),
    )  # fmt: skip
