"""Features that never change."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import listed_numbers
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import little_learned
from netwright.records.facts.inputs import Inputs
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

FEWEST = 200
"""Samples below which a rare value has not had its chance."""

SPARSE = 0.8
"""One-hot columns and counts of words: most are their zero nearly always."""

MANY = 0.25
"""Share of the features of a table that are dead, from which on what they should have told may be
what the network lacks."""

LEFT = 0.35
"""Part of what guessing costs that is left once the loss is at rest."""

AWAKE = 0.05
"""Share of validation samples that must have a value never seen, before it does harm."""


@CONDITIONS.register(
    "dead-feature",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("constant-input", "nonfinite-input", "inconsistent-preprocessing"),
)
def dead_feature(record: Record) -> Iterator[Finding]:
    """A feature, or a whole channel of the images, has one value in all training samples.

    Why it hurts: it carries nothing, and its weights stay as they were drawn. That does no harm
    as long as it stays still; where it moves in validation, an untrained weight decides.

    Evidence: variance 0 over the samples read. A warning needs validation samples in which the
    feature has another value; or a quarter of all features dead, as after a join that failed, and a
    loss that has come to rest above a third of what guessing costs.

    Would be wrong if: the rest of the data, which was not read, has other values.

    Not to be confused with: the border of images, which is constant in many sets and harmless;
    one-hot columns of rare values.

    Treatment: leave the column out, or find out why it stands still (a join that failed, a missing
    value filled in); ask.

    Source: Kuhn & Johnson 2013, Applied predictive modeling, section 3.5 (zero variance).
    """
    inputs = record.get(Inputs)
    if inputs is None or inputs.same_on_all or inputs.samples < FEWEST:
        return
    if inputs.kind == "image":
        if inputs.dead_channels and len(inputs.dead_channels) < max(2, inputs.shape[0]):
            yield _channels(inputs)
        return
    table = inputs.kind in ("features", "series") and inputs.numbers <= 256
    if not table or not inputs.dead or (inputs.sparse > SPARSE and not inputs.awake):
        return
    harm: tuple[Evidence, ...] = (
        (
            Evidence(
                signal=Phrase("validation samples with a value that training never had"),
                value=inputs.awake_share,
                baseline=0.0,
                threshold=AWAKE,
                unit="share",
                witness="harm",
            ),
        )
        if inputs.awake and inputs.awake_share > AWAKE and inputs.sparse <= SPARSE
        else ()
    )
    shown = inputs.awake_first if harm else inputs.dead_first
    if not harm and inputs.dead >= MANY * inputs.numbers and _still_told(inputs):
        harm = any_of(little_learned(record, LEFT))
    yield _finding(
        "warn" if harm else "note",
        Phrase(
            "Features {features} have one value in all {samples} training samples",
            features=listed_numbers(shown, inputs.dead),
            samples=inputs.samples,
        ),
        Evidence(
            signal=Phrase("features without variance, of {features}", features=inputs.numbers),
            value=inputs.dead,
            baseline=0,
        ),
        harm,
    )


def _still_told(inputs: Inputs) -> bool:
    """Whether the living features are no one-hot columns or counts. Of series half may be dead."""
    return inputs.sparse <= SPARSE or (
        inputs.kind == "series" and 2 * inputs.dead >= inputs.numbers
    )


def _channels(inputs: Inputs) -> Finding:
    return _finding(
        "note",
        Phrase(
            "Channels {channels} of the images are the same everywhere",
            channels=", ".join(str(each) for each in inputs.dead_channels),
        ),
        Evidence(
            signal=Phrase("channels without variance"), value=len(inputs.dead_channels), baseline=0
        ),
        (),
    )


def _finding(severity: str, what: Phrase, cause: Evidence, harm: tuple[Evidence, ...]) -> Finding:
    return Finding(
        name="dead-feature",
        severity=severity,  # type: ignore[arg-type]
        what=what,
        evidence=(cause, *harm),
        formula="var(x_j) = 0",
        confidence=0.9 if harm else 0.7,
        cause=Phrase("What does not vary says nothing, and its weights are never trained."),
        wrong_if=Phrase("samples that were not read have other values there"),
        not_to_be_confused_with=Phrase("borders of images and rare one-hot columns"),
        treatments=(
            Treatment(
                name="drop-feature",
                grade="ask",
                why=Phrase("Leave it out, or find out why it stands still."),
            ),
        ),
    )
