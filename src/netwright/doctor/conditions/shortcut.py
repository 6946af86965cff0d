"""One feature that gives the answer away."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SCORE = 0.95
SHARE = 0.02
"""Of the features, those that may be about as good: a watermark covers few places of an image, an
object many."""

FEATURES = 8
MAJORITY = 0.8


@CONDITIONS.register(
    "shortcut",
    reads=Record,
    when="before the first step",
    group="data",
    severity="note",
    yields_to=("constant-input", "labels-inconsistent"),
)
def shortcut(record: Record) -> Iterator[Finding]:
    """One single feature, or one place of the images, explains nearly all labels.

    Why it hurts: the network learns that one thing and nothing else. If it is a trace of how the
    data were gathered (a watermark, a file's number, a column computed from the answer), it is not
    there in use.

    Evidence: a table of 32 steps of that feature alone, filled from one half of the samples and
    read with the other, against the best other feature.

    Would be wrong if: the feature is what the classes are defined by.

    Not to be confused with: an easy problem, where many features explain the labels.

    Treatment: ask whether the feature is known at the time of use; train once without it; advice.

    Source: Geirhos et al. 2020, Shortcut learning in deep neural networks; Kaufman, Rosset &
    Perlich 2011, Leakage in data mining.
    """
    labels = record.get(Neighbourhood)
    if labels is None or labels.alone is None or labels.features < FEATURES:
        return
    score, rest = labels.alone_score or 0.0, labels.alone_rest
    if score < SCORE or rest is None or labels.alone_close > max(2, SHARE * labels.features):
        return
    if (labels.majority or 0) > MAJORITY or labels.samples < 200:
        return
    yield Finding(
        name="shortcut",
        severity="note",
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
