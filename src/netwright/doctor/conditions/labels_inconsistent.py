"""Labels that do not belong to their inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import all_moved
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.doctor.conditions._validation import unlearned
from netwright.records.facts.fed_labels import FedLabels
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

GAIN, ERRORS = 0.05, 6.0
"""What the best mapping must add to the score on validation, and in standard errors of it."""

WITHIN = 0.8
"""Of the agreement within training, what the mapping must reach: a mapping of nothing to nothing
gains a little too."""

RELATED = 10.0
"""Standard deviations above permutation from which on labels surely belong to inputs."""

FOUND, DEALT = 16, 0.4
"""Samples of a batch found in the data, and how far their labels there may be from what the loss is
given: the way from chance to 1."""

MAJORITY = 0.7
UNRELATED = 3.0
FEWEST = 200


@CONDITIONS.register(
    "labels-inconsistent",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
    yields_to=("inconsistent-preprocessing", "constant-input", "nonfinite-input"),
)
def labels_inconsistent(record: Record) -> Iterator[Finding]:
    """Labels are unrelated to the inputs, or mean something else in validation than in training.

    Why it hurts: labels that were shuffled against their inputs can be learned by heart only.
    Where "3" in validation is what is called "5" in training, every prediction is wrong that is
    right.

    Evidence: the share of nearest neighbours (on 32 principal components) with the same label,
    against the same count with the labels dealt out anew. Between the splits: validation named by
    training neighbours, as the labels stand and under the one-to-one mapping that fits best.

    Would be wrong if: the classes differ in something that neighbours cannot see (texture, phase,
    parity), so that even good labels look unrelated.

    Not to be confused with: noisy labels, of which most are right; a hard problem, where neighbours
    agree little but more than by chance.

    Treatment: apply the mapping that is printed, or align inputs and labels again (both are
    shuffled together, or none); ask. Never: train harder.

    Source: Zhang, Bengio, Hardt, Recht & Vinyals 2017, Understanding deep learning requires
    rethinking generalization; Kuhn 1955 for the mapping.
    """
    fed = record.get(FedLabels)
    if fed is not None and _dealt_anew(fed):
        yield _otherwise_fed(fed)
        return
    labels = record.get(Neighbourhood)
    if labels is None or labels.z is None or labels.agreement is None:
        return
    splits = record.get(Splits)
    # Inverted images find neighbours too, the wrong ones, and always the same.
    moved = splits is not None and all_moved(splits)
    if labels.mapping and _mapped(labels) and not moved:
        yield _mapping(labels)
        return
    if labels.samples < FEWEST or abs(labels.z) >= UNRELATED:
        return
    if (labels.single_z or 0.0) >= RELATED:
        return  # one feature among many does tell them
    if labels.tokens and _other_split(labels) is None:
        return  # it may be their order that tells
    harm = any_of(_other_split(labels), stuck(record), _nobody(record, labels, splits))
    yield Finding(
        name="labels-inconsistent",
        severity="warn" if harm else "note",
        what=Phrase("The labels have nothing to do with the inputs, as far as neighbours can tell"),
        evidence=(
            Evidence(
                signal=Phrase(
                    "nearest neighbours with the same label, against labels dealt out anew"
                ),
                value=labels.agreement,
                baseline=labels.chance,
                unit="share",
            ),
            Evidence(
                signal=Phrase("the same difference in standard deviations"),
                value=labels.z,
                baseline=RELATED,
                threshold=UNRELATED,
            ),
            *harm,
        ),
        formula="z = (agreement - mean over permutations) / standard deviation over permutations",
        confidence=0.9 if _other_split(labels) is not None else 0.5,
        cause=Phrase("Inputs and labels were put in another order, the one without the other."),
        wrong_if=Phrase("the classes differ in something that neighbours cannot see"),
        not_to_be_confused_with=Phrase("a hard problem, where neighbours agree little"),
        treatments=(_align(),),
    )


def _dealt_anew(fed: FedLabels) -> bool:
    """Whether what the loss is given has next to nothing to do with what stands in the data."""
    if fed.samples < FOUND:
        return False
    return fed.agreement - fed.chance < DEALT * (1 - fed.chance)


def _otherwise_fed(fed: FedLabels) -> Finding:
    return Finding(
        name="labels-inconsistent",
        severity="stop",
        what=Phrase("Samples meet other labels in the loop than those the data give them"),
        evidence=(
            Evidence(
                signal=Phrase("samples of the first batch that are in the training data as fed"),
                value=fed.samples,
                threshold=FOUND,
            ),
            Evidence(
                signal=Phrase("correlation of their targets with those that stand there")
                if fed.numbers
                else Phrase("labels that stand there too, under the best mapping"),
                value=fed.agreement,
                baseline=1.0,
                threshold=fed.chance + DEALT * (1 - fed.chance),
                unit="share",
                witness="harm",
            ),
        ),
        confidence=0.95,
        cause=Phrase("Inputs and labels were put in another order, the one without the other."),
        wrong_if=Phrase("the targets are made in the loop, and those of the data are not used"),
        not_to_be_confused_with=Phrase("targets that are scaled, or numbered anew"),
        treatments=(_align(),),
    )


def _nobody(record: Record, labels: Neighbourhood, splits: Splits | None) -> Evidence | None:
    """Nor can a linear model tell, nor the network after its epochs."""
    if splits is None or splits.linear_score is None or labels.val_chance is None:
        return None
    if (labels.majority or 0.0) > MAJORITY:
        return None  # where one class is nearly all, guessing it is hard to beat
    if splits.linear_score > labels.val_chance + 3 * (splits.score_error or 0.0) + GAIN:
        return None
    return unlearned(record)


def _mapped(labels: Neighbourhood) -> bool:
    score, assigned = labels.val_score, labels.val_assigned
    if score is None or assigned is None or (labels.z or 0) < RELATED:
        return False
    if assigned < WITHIN * (labels.agreement or 0):
        return False
    return assigned - score > max(GAIN, ERRORS * _error(labels))


def _error(labels: Neighbourhood) -> float:
    """Standard error of a score on validation, at the most."""
    return 0.5 / math.sqrt(max(1, labels.val_samples))


def _mapping(labels: Neighbourhood) -> Finding:
    told = ", ".join(f"{a}->{b}" for a, b in labels.mapping[:20])
    return Finding(
        name="labels-inconsistent",
        severity="stop" if (labels.val_score or 0) < 0.5 * (labels.val_assigned or 0) else "warn",
        what=Phrase(
            "Labels mean something else in validation than in training: {mapping}", mapping=told
        ),
        evidence=(
            Evidence(
                signal=Phrase("validation named by training neighbours, under the best mapping"),
                value=labels.val_assigned or 0.0,
                baseline=labels.val_chance,
                unit="share",
            ),
            Evidence(
                signal=Phrase("the same with the labels as they are"),
                value=labels.val_score or 0.0,
                baseline=labels.val_assigned,
                unit="share",
                witness="harm",
            ),
        ),
        formula="max over one-to-one mappings m of mean[m(y_val) = vote of training neighbours]",
        confidence=0.95,
        cause=Phrase("The classes were numbered anew for one of the splits."),
        wrong_if=Phrase("the two splits have different classes on purpose"),
        not_to_be_confused_with=Phrase("a hard problem, where neighbours agree little"),
        treatments=(
            Treatment(
                name="map-labels",
                grade="ask",
                why=Phrase("Number the classes once, for both; until then this mapping does it."),
                code="mapping = {" + ", ".join(f"{a}: {b}" for a, b in labels.mapping) + "}",
            ),
            _align(),
        ),
    )


def _align() -> Treatment:
    return Treatment(
        name="align-labels",
        grade="ask",
        why=Phrase("Put inputs and labels in one order again: shuffle pairs, never one alone."),
    )


def _other_split(labels: Neighbourhood) -> Evidence | None:
    """In validation labels do belong to inputs, and training says nothing about them."""
    if (labels.val_z or 0) < RELATED or labels.val_agreement is None or labels.val_score is None:
        return None
    chance = labels.val_chance or 0.0
    known = labels.val_agreement - chance
    if known <= GAIN or labels.val_score - chance >= 0.3 * known:
        return None
    return Evidence(
        signal=Phrase("validation named rightly by training neighbours, against by its own"),
        value=labels.val_score,
        baseline=labels.val_agreement,
        unit="share",
        witness="harm",
    )
