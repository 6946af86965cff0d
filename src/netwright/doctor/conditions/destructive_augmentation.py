"""Augmentation that takes away what the label stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

LEFT = 0.4
"""Of what neighbours tell of the labels above chance, the share that must be left. Flips and shifts
by a few pixels leave most of it."""

HARMED = 0.75
"""The same, where the network in the end does worse than neighbours do."""

BEHIND = 0.05
"""By how much at the least its best score in validation is below that of neighbours on samples as
they are, or three standard errors."""

RELATED = 10.0

LOW = 0.7
"""Of what neighbours on plain samples reach: a validation score under it has not seen through."""

SETTLED = 4
"""Evaluations before which a low score is that of the beginning."""


@CONDITIONS.register(
    "destructive-augmentation",
    reads=Record,
    when="after epochs",
    group="data",
    severity="warn",
    yields_to=("labels-inconsistent", "inconsistent-preprocessing", "constant-input"),
)
def destructive_augmentation(record: Record) -> Iterator[Finding]:
    """Augmented training samples no longer show the class that their label names.

    Why it hurts: the network is asked for what cannot be seen (a 6 turned into a 9, a crop without
    the object). It learns slowly or not at all, and validation, which is not augmented, is worse
    than that of a simple model.

    Evidence: nearest neighbours with the same label among the samples as they are fed, against the
    same samples without augmentation; where the loop itself augments its batches, a batch as the
    model got it, named by the samples as they are in the data set. The harm: after four
    evaluations the best score in validation is still far below that of the neighbours, or below
    it without rising any more, or the loss is stuck.

    Would be wrong if: the network sees through the augmentation, where neighbours cannot.

    Not to be confused with: strong augmentation that works: its training scores are low and its
    validation scores are not.

    Treatment: weaken it, and leave out what turns one class into another; ask.

    Source: Cubuk, Zoph, Mane, Vasudevan & Le 2019, AutoAugment, section 4 (what suits one data set
    does not suit another).
    """
    labels = record.get(Neighbourhood)
    found = _in_data(labels) or _in_loop(labels) if labels is not None else None
    if labels is None or found is None:
        return
    as_fed, plain = found
    chance = labels.chance or 0.0
    left = (as_fed - chance) / max(plain - chance, 1e-12)
    if left >= HARMED:
        return
    under = _under_neighbours(record, plain)
    if left >= LEFT and under is None:
        return
    harm = any_of(_validation(record, plain), stuck(record), under)
    yield Finding(
        name="destructive-augmentation",
        severity="warn" if harm else "note",
        what=Phrase("Augmentation hides what the labels name: neighbours agree no more"),
        evidence=(
            Evidence(
                signal=Phrase(
                    "neighbours with the same label as fed, against without augmentation"
                ),
                value=as_fed,
                baseline=plain,
                threshold=chance + LEFT * (plain - chance),
                unit="share",
            ),
            *harm,
        ),
        formula="(agreement - chance) as fed / (agreement - chance) without augmentation",
        confidence=0.8 if harm else 0.5,
        cause=Phrase("The augmentation is stronger than what tells the classes apart."),
        wrong_if=Phrase("scores in validation go on rising above those of a simple model"),
        not_to_be_confused_with=Phrase(
            "strong augmentation that works: validation is not low then"
        ),
        treatments=(
            Treatment(
                name="weaken-augmentation",
                grade="ask",
                why=Phrase("Weaken it, and leave out what turns one class into another."),
            ),
        ),
    )


def _in_data(labels: Neighbourhood) -> tuple[float, float] | None:
    """Agreement as fed and without augmentation, where the data set can give both."""
    if labels.agreement is None or labels.plain_agreement is None:
        return None
    return (labels.agreement, labels.plain_agreement) if (labels.plain_z or 0) >= RELATED else None


def _in_loop(labels: Neighbourhood) -> tuple[float, float] | None:
    """Scores of the first batch as the model got it, and of the samples as they are."""
    if labels.fed_score is None or labels.read_score is None or (labels.z or 0) < RELATED:
        return None
    # Of so few samples the score is off by chance; the better end of it counts.
    error = 2 * math.sqrt(max(labels.fed_score * (1 - labels.fed_score), 0.01) / labels.fed_samples)
    return labels.fed_score + error, labels.read_score


def _under_neighbours(record: Record, plain: float) -> Evidence | None:
    """The network has come to rest, and the nearest plain sample would answer better."""
    epochs = record.get(Epochs)
    seen = [
        each
        for each in (epochs.epochs if epochs is not None else ())
        if each.val_score is not None and each.val_samples
    ]
    if len(seen) < 2 * SETTLED:
        return None
    scores = [each.val_score or 0.0 for each in seen]
    best = max(scores)
    early = max(scores[: 2 * len(scores) // 3])
    error = math.sqrt(max(best * (1 - best), 0.01) / seen[-1].val_samples)
    if best - early > max(0.03, error) or best >= plain - max(BEHIND, 3 * error):
        return None
    return Evidence(
        signal=Phrase("best score in validation, against neighbours on samples as they are"),
        value=best,
        baseline=plain,
        threshold=plain - max(BEHIND, 3 * error),
        unit="share",
        witness="harm",
    )


def _validation(record: Record, plain: float) -> Evidence | None:
    """The network is still far worse than neighbours on plain samples."""
    epochs = record.get(Epochs)
    scores = [
        e.val_score
        for e in (epochs.epochs if epochs is not None else ())
        if e.val_score is not None
    ]
    if len(scores) < SETTLED or max(scores) >= LOW * plain:
        return None
    return Evidence(
        signal=Phrase("best score in validation, against neighbours on samples as they are"),
        value=max(scores),
        baseline=plain,
        threshold=LOW * plain,
        unit="share",
        witness="harm",
    )
