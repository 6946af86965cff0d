"""Labels that are wrong here and there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._data import feeds_of
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, little_learned
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.passing import Passing
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

RATE, SURE = 0.04, 0.02
"""Contradictions among the purest quarter, and the lower end of their interval."""

PURE = 0.8
"""How far the surroundings must be of one class for a contradiction to mean something: the way
from chance, 1 / C, to 1. Two clouds that overlap by a third measured 0.63 to 0.73, Fashion-MNIST
with a fifth of its labels drawn anew 0.80, MNIST and Fashion-MNIST as they are 0.98."""

EVEN = 0.55
"""The same way, where the contradictions are spread evenly over all other classes: classes that
overlap do so with some. Measured: half of the labels of MNIST-like digits and of waves drawn anew
0.62 and 0.69, digits under noise of twice their spread 0.37."""

RELATED = 10.0
"""Standard deviations above permutation from which on labels surely belong to inputs."""

HELD = 0.3
"""Of what the wrong labels cost those who do not learn them by heart: a loss above that part of it
is held up by them."""

BETTER = 0.5
"""Of the rate of wrong labels: by so much is the network better in validation than in training."""

MASSIVE = 0.15
"""Rate of contradictions, by the lower end of its interval, above which networks feel them without
knowing them by heart. A tenth of labels drawn anew cost nothing (Rolnick, Veit, Belongie & Shavit
2017, Deep learning is robust to massive label noise; the bench's healthy kind with one in ten)."""

WORSE, SURELY = 0.75, 5.0
"""Agreement within training over that within validation, both above chance, from which on it is
worse, by so many standard errors."""

ALIKE, NEARNESS = 0.65, (0.8, 1.3)
"""How well a linear classifier may tell the inputs of the splits apart, and the distance of a
validation sample to training over that between training samples: else inputs were changed."""

EPOCHS = 4
"""Evaluations below which training was not long."""

CARRIED = 0.5
FEWEST = 200


@CONDITIONS.register(
    "label-noise",
    reads=Record,
    when="after epochs",
    group="data",
    severity="warn",
    yields_to=("labels-inconsistent", "inconsistent-preprocessing", "destructive-augmentation"),
)
def label_noise(record: Record) -> Iterator[Finding]:
    """A share of the labels contradicts samples that are plainly of another class.

    Why it hurts: the loss on them stays high until they are learned by heart, and what is learned
    by heart is wrong: the gap between training and validation opens. The score has a ceiling.

    Evidence: of the quarter of the samples whose neighbours are most of one class, the share that
    is labelled otherwise; classes that merely overlap leave that quarter nearly untouched. Where
    more labels are wrong no surroundings are pure: then the contradictions are spread evenly over
    all other classes, as no overlap is. The harm: few samples carry most of the loss, as far as it
    has come, and the network is confident of another class there; the network is right on clean
    validation samples more often than on those it trains on; after several epochs the loss stands
    at what the wrong labels cost; or they were learned by heart and validation is far behind.

    Would be wrong if: the suspects, looked at, are labelled rightly.

    Not to be confused with: hard samples at the border of two classes; rare classes within common
    ones.

    Treatment: look at the suspects that are listed; advice. A loss that forgives (label smoothing,
    a generalised cross-entropy); ask.

    Source: Northcutt, Jiang & Chuang 2021, Confident learning; Arpit et al. 2017, A closer look at
    memorization in deep networks.
    """
    labels = record.get(Neighbourhood)
    if labels is None or labels.noise is None or labels.purity is None:
        return
    few = labels.noise <= RATE or (labels.noise_least or 0) <= SURE
    if few or (not _pure(labels, PURE) and not (_even(labels) and _pure(labels, EVEN))):
        yield from _worse_than_validation(record, labels)
        return
    # Of data fed by class the first part shows some classes alone.
    if any(each.longest_alone > 1 for each in feeds_of(record)):
        return
    many = (labels.noise_least or 0) > MASSIVE
    harm = any_of(
        _carried(record, labels.noise),
        _better_in_validation(record, labels.noise) if many else None,
        _held_up(record, labels) if many and _even(labels) else None,
        far_behind(record) if many and _even(labels) else None,
    )[:2]
    if not harm and not _pure(labels, PURE):  # few classes that all touch overlap evenly, too
        return
    yield Finding(
        name="label-noise",
        severity="warn" if harm else "note",
        what=Phrase(
            "About {rate} % of the labels contradict samples that are plainly of another class",
            rate=f"{100 * labels.noise:.2g}",
        ),
        evidence=(
            Evidence(
                signal=Phrase(
                    "labels that their neighbours contradict, of {samples}",
                    samples=labels.noise_samples,
                ),
                value=labels.noise,
                baseline=0.0,
                threshold=RATE,
                unit="share",
            ),
            *(
                [
                    Evidence(
                        signal=Phrase("unevenness of the labels that contradict, over the classes"),
                        value=labels.noise_spread or 0.0,
                        baseline=1.0,
                        threshold=labels.noise_spread_bound,
                    )
                ]
                if _even(labels)
                else []
            ),
            *harm,
        ),
        formula="share of y_i != vote of the 20 nearest, over the quarter with the purest votes",
        confidence=0.85 if harm else 0.7,
        cause=Phrase("Some labels were given wrongly, or belong to another sample."),
        wrong_if=Phrase("the suspects, looked at, are labelled rightly"),
        not_to_be_confused_with=Phrase("hard samples at the border of two classes"),
        treatments=(
            Treatment(
                name="look-at-suspects",
                grade="advice",
                why=Phrase(
                    "Look at these samples (sample: label, looks like): {suspects}",
                    suspects=", ".join(f"{n}: {a}, {b}" for n, a, b in labels.suspects[:12]),
                ),
            ),
            Treatment(
                name="clean-labels",
                grade="ask",
                why=Phrase("Leave out samples whose nearest neighbours have another label."),
            ),
            Treatment(
                name="forgiving-loss",
                grade="ask",
                why=Phrase("Take a loss that forgives, as cross-entropy with label smoothing."),
                code="nn.CrossEntropyLoss(label_smoothing=0.1)",
            ),
        ),
    )


def _worse_than_validation(record: Record, labels: Neighbourhood) -> Iterator[Finding]:
    """The same kind of samples, and in validation neighbours agree far more often: there are fewer
    of them there, so that they lie farther apart. However the labels were mixed up, in training
    they were."""
    splits = record.get(Splits)
    if splits is None or labels.agreement is None or labels.val_agreement is None:
        return
    if min(labels.z or 0.0, labels.val_z or 0.0) < RELATED or labels.val_samples < FEWEST:
        return
    if not _of_one_kind(splits) or labels.plain_agreement is not None or labels.fed_samples:
        return
    if labels.samples < labels.val_samples:  # so few lie farther apart, and agree less for that
        return
    chance = labels.chance or 0.0
    here, there = labels.agreement - chance, labels.val_agreement - chance
    error = 0.5 / math.sqrt(labels.val_samples)
    if here > WORSE * there or there - here < SURELY * error:
        return
    rate = 1 - here / there
    harm = any_of(
        _below_neighbours(record, chance + WORSE * there),
        _better_in_validation(record, rate / 2),
        far_behind(record),
        little_learned(record),
    )[:2]
    yield Finding(
        name="label-noise",
        severity="warn" if harm else "note",
        what=Phrase("Labels belong to their inputs far less in training than in validation"),
        evidence=(
            Evidence(
                signal=Phrase("nearest neighbours with the same label, within training"),
                value=labels.agreement,
                baseline=labels.val_agreement,
                threshold=chance + WORSE * there,
                unit="share",
            ),
            *harm,
        ),
        formula="agreement in training - chance < 0.75 (agreement in validation - chance)",
        confidence=0.85 if harm else 0.6,
        cause=Phrase("Many labels of the training data were given wrongly, or by another rule."),
        wrong_if=Phrase("the training data were made harder on purpose"),
        not_to_be_confused_with=Phrase("augmented inputs, which lie farther apart"),
        treatments=(
            Treatment(
                name="compare-labels",
                grade="advice",
                why=Phrase("Hold training samples beside the validation samples they look like."),
            ),
            Treatment(
                name="clean-labels",
                grade="ask",
                why=Phrase("Leave out samples whose nearest neighbours have another label."),
            ),
            Treatment(
                name="forgiving-loss",
                grade="ask",
                why=Phrase("Take a loss that forgives, as cross-entropy with label smoothing."),
                code="nn.CrossEntropyLoss(label_smoothing=0.1)",
            ),
        ),
    )


def _below_neighbours(record: Record, bound: float) -> Evidence | None:
    """In validation the network is right less often than neighbours there agree."""
    told = record.get(Epochs)
    seen = [
        each
        for each in (told.epochs if told is not None else ())
        if each.val_score is not None and each.val_samples
    ]
    if len(seen) < EPOCHS:
        return None
    best = max(seen, key=lambda each: each.val_score or 0.0)
    score = best.val_score or 0.0
    if score + 2 * math.sqrt(max(score * (1 - score), 0.01) / best.val_samples) > bound:
        return None
    return Evidence(
        signal=Phrase("best score in validation, against neighbours that agree there"),
        value=score,
        threshold=bound,
        unit="share",
        witness="harm",
        step=best.step,
    )


def _of_one_kind(splits: Splits) -> bool:
    """Whether inputs of the two splits cannot be told apart, nor lie nearer to one another."""
    if splits.source != "data" or splits.auc is None or splits.auc > ALIKE or splits.leaked:
        return False
    if splits.label_distance is not None and splits.label_distance > 2 * (splits.label_bound or 0):
        return False
    ratio = splits.neighbour_ratio
    return ratio is not None and NEARNESS[0] < ratio < NEARNESS[1]


def _pure(labels: Neighbourhood, share: float) -> bool:
    chance = 1 / max(2, labels.classes)
    return ((labels.purity or 0) - chance) / (1 - chance) >= share


def _even(labels: Neighbourhood) -> bool:
    """Whether contradictions are with all other classes alike."""
    spread, bound = labels.noise_spread, labels.noise_spread_bound
    if spread is None or bound is None or (labels.z or 0) < RELATED:
        return False
    return spread <= bound


def _better_in_validation(record: Record, rate: float) -> Evidence | None:
    """On clean validation samples the network is right more often than on those it trains on."""
    told = record.get(Epochs)
    seen = [
        each
        for each in (told.epochs if told is not None else ())
        if each.train_score is not None and each.val_score is not None and each.val_samples
    ]
    if len(seen) < EPOCHS:
        return None
    best = max(seen, key=lambda each: each.val_score or 0.0)
    train, val = best.train_score or 0.0, best.val_score or 0.0
    error = 2 * math.sqrt(max(val * (1 - val), 0.01) / best.val_samples)
    if val - error - train <= BETTER * rate:
        return None
    return Evidence(
        signal=Phrase("score in training, against that in validation at its best"),
        value=train,
        baseline=val,
        threshold=val - BETTER * rate,
        unit="share",
        witness="harm",
        step=best.step,
    )


def _held_up(record: Record, labels: Neighbourhood) -> Evidence | None:
    """The loss at the end, against what labels drawn anew cost who knows all but them."""
    found, told = course(record), record.get(Epochs)
    rate = labels.noise_least or 0.0
    if found is None or found.guess is None or found.broken is not None or not 0 < rate < 1:
        return None
    if told is None or len(told.epochs) < EPOCHS or found.latest > 0.95 * found.guess:
        return None
    cost = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    cost += rate * math.log(max(1, labels.classes - 1))
    if found.latest < HELD * cost:
        return None
    return Evidence(
        signal=Phrase("loss at the end, against what the contradicting labels cost by themselves"),
        value=found.latest,
        baseline=cost,
        threshold=HELD * cost,
        witness="harm",
        step=found.steps,
    )


def _carried(record: Record, rate: float) -> Evidence | None:
    """Of the samples seen last, what those with a confident other prediction carry of the loss."""
    passing = record.get(Passing)
    if passing is None or len(passing.loss) < FEWEST:
        return None
    finite = np.isfinite(passing.loss)
    loss = passing.loss[finite]
    against = (passing.likeliest[finite] != passing.label[finite]) & (
        passing.confidence[finite] > 0.8
    )
    # As many as there is noise, about: a network at its start is wrong everywhere.
    if loss.sum() <= 0 or not 0.2 * rate < float(against.mean()) < max(3 * rate, 0.3):
        return None
    share = float(loss[against].sum() / loss.sum())
    if share <= CARRIED:
        return None
    return Evidence(
        signal=Phrase("of the loss, carried by samples of which the network is sure otherwise"),
        value=share,
        baseline=float(against.mean()),
        threshold=CARRIED,
        unit="share",
        witness="harm",
        step=int(passing.step[-1]),
    )
