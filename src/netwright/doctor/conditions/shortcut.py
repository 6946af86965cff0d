"""One feature that gives the answer away."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.reliance import Reliance
from netwright.records.findings import Evidence, Finding, Treatment, percent
from netwright.records.record import Record

SCORE = 0.95
SHARE = 0.02
"""Of the features, those that may be about as good: a watermark covers few places of an image, an
object many."""

FEATURES = 8
MAJORITY = 0.8

RELIES = 0.9
"""Share of the answers that hang on the feature alone, among few features: one of ten may well
decide much."""

TIMES = 20.0
"""Among many, how many times its even share of the answers, but a third of them at the least: one
pixel is not to decide more than what is on the image."""

FOLLOWS = 0.5
"""Share of the answers that a factor on the whole sample must decide: what is on it stays."""

TOLD = 0.1
"""What the rest of the features must tell of the labels, above always answering the commonest."""


@CONDITIONS.register(
    "shortcut",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("constant-input", "labels-inconsistent"),
)
def shortcut(record: Record) -> Iterator[Finding]:
    """One single feature, or one place of the images, explains nearly all labels.

    Why it hurts: the network learns that one thing and nothing else. If it is a trace of how the
    data were gathered (a watermark, a file's number, a column computed from the answer), it is not
    there in use.

    Evidence: a table of 32 steps of that feature alone, filled from one half of the samples and
    read with the other, against the best other feature. The harm is read from the trained network:
    samples that are given all values but this one of a sample of another class keep their answers,
    and follow it once this one alone is exchanged; though the others tell much of the label too,
    none of it was learned.

    Would be wrong if: the feature is what the classes are defined by.

    Not to be confused with: an easy problem, where many features explain the labels.

    Treatment: ask whether the feature is known at the time of use; train once without it; advice.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks; Kaufman, Rosset &
    Perlich 2011, Leakage in data mining.
    """
    labels = record.get(Neighbourhood)
    if labels is None or labels.alone is None or labels.features < FEATURES:
        return
    yield from _overall(record, labels)
    score, rest = labels.alone_score or 0.0, labels.alone_rest
    if score < SCORE or rest is None or labels.alone_close > max(2, SHARE * labels.features):
        return
    if (labels.majority or 0) > MAJORITY or labels.samples < 200:
        return
    harm = any_of(_relies(record.get(Reliance), labels))
    yield Finding(
        name="shortcut",
        severity="warn" if harm else "note",
        what=Phrase(
            "Feature {feature} alone explains {score} % of the labels",
            feature=labels.alone,
            score=f"{100 * score:.3g}",
        ),
        evidence=(
            Evidence(
                signal=Phrase(
                    "labels named by it alone, against the best other of {features}",
                    features=labels.features,
                ),
                value=score,
                baseline=rest,
                threshold=SCORE,
                unit="share",
            ),
            *harm,
        ),
        formula="accuracy of a one-feature table, held out",
        confidence=0.7,
        cause=Phrase("The answer, or a trace of it, is among the inputs."),
        wrong_if=Phrase("the classes are defined by this feature"),
        not_to_be_confused_with=Phrase("an easy problem, where many features explain the labels"),
        treatments=(
            Treatment(
                name="train-without-it",
                grade="advice",
                why=Phrase("Ask whether it is known at the time of use; train once without it."),
            ),
        ),
    )


def _overall(record: Record, labels: Neighbourhood) -> Iterator[Finding]:
    """A number of the whole sample, as the brightness of an image, tells what it is of."""
    found, told = record.get(Reliance), labels.rest_score
    if (labels.overall_score or 0.0) < SCORE or labels.samples < 200 or told is None:
        return
    if (labels.majority or 0) > MAJORITY or told < (labels.majority or 0.0) + TOLD:
        return
    harmful = (
        found is not None
        and found.overall == labels.overall
        and min(found.kept, found.followed) >= FOLLOWS
    )
    evidence = [
        Evidence(
            signal=Phrase("labels named by it alone, against neighbours without it"),
            value=labels.overall_score or 0.0,
            baseline=told,
            threshold=SCORE,
            unit="share",
        )
    ]
    if harmful and found is not None:
        evidence.append(
            Evidence(
                signal=Phrase("answers that become another sample's once it has that number"),
                value=found.followed,
                baseline=0.0,
                threshold=FOLLOWS,
                unit="share",
                witness="harm",
                step=found.step,
            )
        )
    yield Finding(
        name="shortcut",
        severity="warn" if harmful else "note",
        what=Phrase("The {number} value of a whole sample explains {score} % of the labels",
                    number=labels.overall, score=f"{100 * (labels.overall_score or 0.0):.3g}"),
        evidence=tuple(evidence),
        formula="accuracy of a one-feature table, held out",
        confidence=0.7,
        cause=Phrase("The answer, or a trace of it, is among the inputs."),
        wrong_if=Phrase("the classes are defined by this number"),
        not_to_be_confused_with=Phrase("an easy problem, where many features explain the labels"),
        treatments=(
            Treatment(
                name="train-without-it",
                grade="advice",
                why=Phrase("Bring every sample to the same size first, as in use it will be."),
            ),
        ),
    )  # fmt: skip


def _relies(found: Reliance | None, labels: Neighbourhood) -> Evidence | None:
    """The network goes by this feature, and by nothing of what the others tell."""
    bound = min(RELIES, max(1 / 3, TIMES / labels.features))
    own = found is not None and found.feature in (labels.alone, *labels.alone_group)
    if found is None or not own or min(found.kept, found.followed) < bound:
        return None
    if labels.rest_score is None or labels.rest_score < (labels.majority or 0.0) + TOLD:
        return None
    return Evidence(
        signal=Phrase(
            "answers that stay when all other features are those of another class, though these "
            "tell {told} of the labels",
            told=percent(labels.rest_score),
        ),
        value=found.kept,
        baseline=0.0,
        threshold=bound,
        unit="share",
        witness="harm",
        step=found.step,
    )
