"""Some classes are so rare that guessing the others pays."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import special
from netwright.doctor.conditions._validation import far_behind
from netwright.records.facts.answers import Answers
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.labels import Labels
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.objective import Objective
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

RARE = 0.2
"""Of an even share: a class below that is rare."""

ABSENT = 0.5
"""The chance that a batch holds none of a class; only where the class is rare too."""

MOST = 1000
"""Classes above which labels are uneven by nature (words)."""

LONG = 100
"""Steps after which a class that is never answered is not merely late."""

MISSED = 0.5
"""Of the recall of the other classes: what the recall of the rare ones in validation stays under,
by the upper end of its 95 % interval. A calibrated network is shy of rare classes and misses some
at a threshold of a half; one that misses most has not learned them."""

TOLD_APART = 0.8
"""Recall of the other classes, and agreement of nearest neighbours, under which classes overlap:
then the best answer to a sample between a rare class and a frequent one is the frequent one."""

JUDGED = 3
"""Labels of rare classes in one evaluation below which that is not asked: of three that are all
missed the interval still reaches to 0.56."""

SETTLED = 3
"""Evaluations below which they may merely be late."""

SEEN = 20
"""Labels of a class, among the last looks, below which its recall says little."""


@CONDITIONS.register(
    "class-imbalance",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("labels-inconsistent", "unshuffled-data", "dead-relu", "learning-rate-too-high",
               "constant-output"),
)  # fmt: skip
def class_imbalance(record: Record) -> Iterator[Finding]:
    """The classes are uneven, and the network answers with the frequent ones.

    Why it hurts: answering the most frequent class is right in most cases and costs little loss;
    a rare class has little pull and may never be answered, while the accuracy looks good.

    Evidence: the smallest share of the labels against an even one (surely below it, by two
    standard deviations of its count), the majority baseline, the chance that a batch holds none.
    It is a note; a warning once rare classes are never answered, 100 steps on, though they came by
    at least 20 times among the last looks, where validation answers them far less often than the
    others though classes lie apart, or holds more of them than training does and its loss is far
    above that of training.

    Would be wrong if: the labels that were read are not a fair part of the set.

    Not to be confused with: uneven classes that are all learned (a note); masks whose background
    is most of the image; words of a language.

    Treatment: class weights, balanced sampling, and a score by class; ask.

    Source: Buda, Maki & Mazurowski 2018, A systematic study of the class imbalance problem in
    convolutional neural networks.
    """
    if special(record):
        return  # what a player of a game is told is real, or a copy's answers, is no data set
    counts, batch, places = _counts(record)
    read = _all_read(record)
    # What the whole set has none of cannot be weighed: a spare output, or a class that only
    # validation has (distribution-shift).
    there = [each for each in counts if each or not read]
    known, classes = sum(counts), len(there)
    if not 2 <= classes <= MOST or known < 20 * classes:
        return
    least = min(there)
    # Of a part of the set the count is a sample of it; of the whole it is what it is.
    sure = least if read else least + 2 * math.sqrt(least + 1) + 2
    if sure / known >= RARE / classes:
        return
    share, most = least / known, max(counts) / known
    rare = [k for k, n in enumerate(counts) if n / known < RARE / classes and (n or not read)]
    harm = _never_answered(record, rare) or _missed(record, rare) or _wanted(record)
    if places and harm is None:
        return  # a background is no fault
    none = (1 - share) ** batch if batch else 0.0
    yield Finding(
        name="class-imbalance",
        severity="warn" if harm else "note",
        step=harm.step if harm else None,
        what=Phrase(
            "The rarest of {classes} classes has {share:.2%} of the labels, "
            "the commonest {most:.0%}",
            classes=classes,
            share=share,
            most=most,
        ),
        evidence=(
            Evidence(
                signal=Phrase("share of the rarest class, against an even one"),
                value=share,
                baseline=1 / classes,
                threshold=RARE / classes,
                unit="share",
            ),
            Evidence(
                signal=Phrase("score of always answering the commonest class"),
                value=most,
                baseline=1 / classes,
                unit="share",
            ),
            *(
                [
                    Evidence(
                        signal=Phrase("chance that a batch holds none of the rarest class"),
                        value=none,
                        threshold=ABSENT,
                        unit="share",
                    )
                ]
                if none > ABSENT
                else []
            ),
            *([harm] if harm else []),
        ),
        confidence=0.9 if harm else 0.7,
        cause=Phrase("The loss counts samples, and rare classes have few."),
        wrong_if=Phrase("the labels that were read are not a fair part of the set"),
        not_to_be_confused_with=Phrase("uneven classes that are all learned"),
        treatments=(
            Treatment(
                name="class-weights",
                grade="ask",
                why=Phrase("Weigh classes by the inverse of their share, or sample them evenly."),
                code="F.cross_entropy(logits, target, weight=1 / (counts / counts.mean()).sqrt())",
            ),
            Treatment(
                name="bias-at-prior",
                grade="ask",
                why=Phrase("Begin with the last bias at the log shares of the classes."),
                code="model.head.bias.data = shares.log()",
            ),
            Treatment(
                name="score-by-class",
                grade="advice",
                why=Phrase("Look at the recall of each class beside the accuracy."),
            ),
        ),
    )


def _counts(record: Record) -> tuple[list[int], int, bool]:
    """Labels by class: of the training set if it was read, else of the steps looked at, else of
    the first batch; how many a batch has; and whether they are places of images."""
    labels, answers = record.get(Labels), record.get(Answers)
    if answers is not None and (labels is None or labels.source == "batch") and answers.labels:
        batch = labels.batch if labels is not None else answers.samples
        return list(answers.labels), batch, answers.places
    if labels is None or labels.classes is None or labels.classes > MOST:
        return [], 0, False
    counts = [0] * labels.classes
    for value, count in zip(labels.values, labels.counts, strict=True):
        if 0 <= value < len(counts):
            counts[value] = count
    return counts, labels.batch, labels.places


def _all_read(record: Record) -> bool:
    labels = record.get(Labels)
    return labels is not None and labels.source == "train" and labels.complete


def _wanted(record: Record) -> Evidence | None:
    """Validation asks for the classes that training hardly has, and the network fails there."""
    splits = record.get(Splits)
    if splits is None or splits.label_distance is None or splits.label_bound is None:
        return None
    return far_behind(record) if splits.label_distance > splits.label_bound else None


def _missed(record: Record, rare: list[int]) -> Evidence | None:
    """In validation rare classes are recognised far less often than the others."""
    told = record.get(Epochs)
    seen = [each for each in (told.epochs if told is not None else ()) if each.val_labels]
    if len(seen) < SETTLED:
        return None
    last = seen[-1]
    few = {k for k in rare if k < len(last.val_labels)}
    came = sum(last.val_labels[k] for k in few)
    others = sum(last.val_labels) - came
    if came < JUDGED or others < JUDGED:
        return None
    recall = sum(last.val_hits[k] for k in few) / came
    usual = (sum(last.val_hits) - recall * came) / others
    if wilson_high(recall, came) >= MISSED * usual or not (usual >= TOLD_APART or _apart(record)):
        return None
    return Evidence(
        signal=Phrase(
            "recall of the rare classes in validation, {count} samples, against the others'",
            count=came,
        ),
        value=recall,
        baseline=usual,
        threshold=MISSED * usual,
        unit="share",
        witness="harm",
        step=last.step,
    )


def _apart(record: Record) -> bool:
    """Whether classes lie apart by their inputs, whatever the network makes of that."""
    near = record.get(Neighbourhood)
    return near is not None and (near.agreement or 0.0) >= TOLD_APART


def wilson_high(share: float, count: int, z: float = 1.96) -> float:
    """The upper end of Wilson's interval for a share.

    >>> round(wilson_high(0.0, 10), 3)
    0.278
    """
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle + half) / (1 + z * z / count)


def _never_answered(record: Record, rare: list[int]) -> Evidence | None:
    """Rare classes that came by and were never answered."""
    answers, objective = record.get(Answers), record.get(Objective)
    if answers is None or not answers.recent or answers.since < LONG:
        return None
    if objective is not None and objective.terms > 1:
        return None
    came = [k for k in rare if k < len(answers.recent) and answers.recent[k]]
    seen = sum(answers.recent[k] for k in came)
    if seen < SEEN or any(answers.hits[k] for k in came):
        return None
    return Evidence(
        signal=Phrase("recall of the rare classes at the last steps looked at"),
        value=0,
        baseline=sum(answers.hits) / max(sum(answers.recent), 1),
        unit="share",
        witness="harm",
        step=answers.steps[-1] if answers.steps else answers.since,
    )
