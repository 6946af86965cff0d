"""Validation data from another distribution than training data."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import all_moved, feeds_of, listed_numbers, splits_of
from netwright.doctor.conditions._harm import any_of
from netwright.doctor.conditions._validation import far_behind, worse_than_guessing
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

AUC = 0.9
DISTANCE = 0.3
"""A Kolmogorov-Smirnov distance that is not only there but large: a shift by 0.8 standard
deviations of a normal feature has 0.31."""

BEYOND = 0.1
"""Share of validation beyond all that training has of a feature. By chance it is 2 / n."""

CHANCE = 1e-3
"""Of all features together: how likely that may be by chance."""

TIMES = 2.0
"""Times the training loss that validation costs there at the least."""

APART = 2.0
"""Times as far from the nearest training sample as those are from one another."""

LABELS = 0.2
DROP = 0.2
UNSEEN = 0.01


@CONDITIONS.register(
    "distribution-shift",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=(
        "inconsistent-preprocessing",
        "labels-inconsistent",
        "nonfinite-input",
        "constant-input",
        "class-imbalance",
        "duplicate-samples",
    ),
)
def distribution_shift(record: Record) -> Iterator[Finding]:
    """Validation samples or labels are distributed otherwise than those of training.

    Why it hurts: the score in validation says how well the network does on data of another kind;
    it can fall while the network gets better on its own. Classes that training never has
    cannot be learned.

    Evidence: a linear classifier that tells the splits apart together with features whose
    distributions differ (Kolmogorov-Smirnov, corrected for their number); the distance of the
    class shares; classes that training has not; or most features differ, and validation lies far
    from any training sample. The harm: neighbours score validation worse than
    training samples left out.

    Would be wrong if: the shift is meant, as in a split by time, or a balanced test of an
    unbalanced set.

    Not to be confused with: another preprocessing, which moves all features at once; augmentation.

    Treatment: split at random or by groups, or take validation data from where the network will
    be used; advice.

    Source: Rabanser, Guennemann & Lipton 2019, Failing loudly: an empirical study of methods for
    detecting dataset shift.
    """
    splits = splits_of(record)
    if splits is None:
        return
    sorted_feed = any(each.longest_alone > 1 for each in feeds_of(record))
    whole = splits.complete or not sorted_feed  # of sorted data the first part is no sample
    if not whole:
        return
    # Augmentation alone moves images: black borders, colours. They must cost something to count.
    moved = _inputs(splits) if splits.kind == "features" or _drop(splits) is not None else None
    beyond = _beyond(splits)
    apart = _apart(splits)
    causes = any_of(beyond, moved, apart, _labels(splits), _unseen(splits))
    if not causes:
        return
    failed = worse_than_guessing(record) if moved or beyond or apart else None
    if failed is None and (beyond or apart):
        failed = far_behind(record, times=TIMES)
    harm = any_of(_drop(splits), _impossible(splits), failed)
    yield Finding(
        name="distribution-shift",
        severity="warn" if harm else "note",
        what=_what(splits),
        evidence=(*causes, *harm),
        formula="max |F_train - F_val|; sum |p_train - p_val| / 2",
        confidence=0.9 if harm else 0.6,
        cause=Phrase("The splits were not drawn from one pool, or not at random."),
        wrong_if=Phrase("the shift is meant, as in a split by time"),
        not_to_be_confused_with=Phrase("another preprocessing, which moves all features at once"),
        treatments=(
            Treatment(
                name="one-transform",
                grade="ask",
                why=Phrase("Bring the training inputs to the means and spreads of validation."),
            ),
            Treatment(
                name="split-alike",
                grade="advice",
                why=Phrase(
                    "Split at random or by groups, or gather validation data where it is used."
                ),
            ),
        ),
    )


def _inputs(splits: Splits) -> Evidence | None:
    if splits.auc is None or splits.auc <= AUC or all_moved(splits):
        return None
    if splits.worst_distance <= max(DISTANCE, splits.distance_bound):
        return None
    return Evidence(
        signal=Phrase(
            "distance between the distributions of feature {feature} ({shifted} of {compared})",
            feature=splits.worst_feature,
            shifted=splits.shifted,
            compared=splits.compared,
        ),
        value=splits.worst_distance,
        baseline=splits.distance_bound,
        threshold=max(DISTANCE, splits.distance_bound),
    )


def _beyond(splits: Splits) -> Evidence | None:
    """Samples that training has nothing of the like of."""
    if splits.beyond_share <= BEYOND or all_moved(splits) or not splits.complete:
        return None
    if by_chance(splits.beyond_share, splits.train_samples) * max(1, splits.compared) > CHANCE:
        return None
    return Evidence(
        signal=Phrase(
            "validation samples whose feature {feature} lies beyond all of training's",
            feature=splits.beyond_feature or 0,
        ),
        value=splits.beyond_share,
        baseline=2 / max(splits.train_samples, 1),
        threshold=BEYOND,
        unit="share",
    )


def _apart(splits: Splits) -> Evidence | None:
    """Most features are distributed otherwise, and validation lies farther from training than
    training from itself: noise of another sensor moves no mean, and no line tells it."""
    ratio = splits.neighbour_ratio
    if ratio is None or ratio <= APART or all_moved(splits) or splits.repeats_within > 0.1:
        return None
    if 2 * splits.shifted <= splits.compared:
        return None
    return Evidence(
        signal=Phrase(
            "distance to the nearest training sample, of validation over training samples"
        ),
        value=ratio,
        baseline=1.0,
        threshold=APART,
        unit="times",
    )


def by_chance(share: float, samples: int) -> float:
    """How likely it is that more than `share` of all there is lies beyond the range of so many
    samples: what the two outermost leave out is Beta(2, n - 1).

    >>> round(by_chance(0.1, 40), 3), by_chance(0.1, 1000) < 1e-40
    (0.08, True)
    """
    return float((1 - share) ** samples + samples * share * (1 - share) ** max(0, samples - 1))


def _labels(splits: Splits) -> Evidence | None:
    found, bound = splits.label_distance, splits.label_bound
    if found is None or bound is None or found <= max(LABELS, bound):
        return None
    return Evidence(
        signal=Phrase("distance between the class shares of the two"),
        value=found,
        baseline=0.0,
        threshold=max(LABELS, bound),
        unit="share",
    )


def _unseen(splits: Splits) -> Evidence | None:
    if splits.unseen_share <= UNSEEN or not splits.complete:
        return None
    return Evidence(
        signal=Phrase("classes of validation that training does not have"),
        value=len(splits.unseen_classes),
        baseline=0,
    )


def _impossible(splits: Splits) -> Evidence | None:
    if _unseen(splits) is None:
        return None
    return Evidence(
        signal=Phrase("validation samples of such classes, on which no prediction can be right"),
        value=splits.unseen_share,
        baseline=0.0,
        threshold=UNSEEN,
        unit="share",
        witness="harm",
    )


def _drop(splits: Splits) -> Evidence | None:
    if _inputs(splits) is None or splits.score is None or splits.score_within is None:
        return None
    if splits.score_within - splits.score <= max(DROP, 5 * (splits.score_error or 0)):
        return None
    return Evidence(
        signal=Phrase(
            "validation named by its nearest training samples, against training left out"
        ),
        value=splits.score,
        baseline=splits.score_within,
        threshold=splits.score_within - DROP,
        unit="share",
        witness="harm",
    )


def _what(splits: Splits) -> Phrase:
    if _unseen(splits) is not None:
        return Phrase(
            "Classes {classes} are in validation and not in training",
            classes=listed_numbers(splits.unseen_classes, len(splits.unseen_classes)),
        )
    if _inputs(splits) is not None or _apart(splits) is not None:
        return Phrase("Validation inputs are distributed otherwise than training inputs")
    return Phrase("The classes have other shares in validation than in training")
