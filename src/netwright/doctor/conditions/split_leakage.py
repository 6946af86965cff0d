"""Validation samples that are in the training data."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SHARE = 0.02
"""Of the validation samples. Public sets have up to 3 % near copies between their splits (CIFAR-10:
3.3 %, Barz & Denzler 2020), hardly any of them bit for bit."""

NEAR = 0.1
"""Nearest neighbour across the splits, over the nearest within training."""

INFLATED = 0.05


@CONDITIONS.register(
    "split-leakage",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("constant-input",),
)
def split_leakage(record: Record) -> Iterator[Finding]:
    """Samples of validation are samples of training, or copies of them.

    Why it hurts: a network that has learned them by heart scores on them. The validation score is
    too high, overfitting is not seen, and what is chosen by it is chosen wrongly.

    Evidence: validation samples whose bytes are in training; the median distance of validation
    samples to the nearest training sample, over that between training samples. The harm: the
    score by nearest neighbour on the leaked samples, against that on samples that are new.

    Would be wrong if: samples are of so few different values that equal ones are to be expected;
    that is held against the copies within training.

    Not to be confused with: overlapping windows of one series, which are as near to one another
    within training; a check that is made on the training data on purpose.

    Treatment: split by the source of the samples (person, video, day), and take the listed ones
    out of one of the two; advice.

    Source: Barz & Denzler 2020, Do we train on test data? Purging CIFAR of near-duplicates.
    """
    splits = record.get(Splits)
    if splits is None or not splits.val_samples:
        return
    causes = any_of(_copies(splits), _nearness(splits))
    if not causes:
        return
    harm = any_of(_inflated(splits))
    tiny = splits.train_samples < 200 or splits.val_samples < 20
    yield Finding(
        name="split-leakage",
        severity="warn" if harm and not tiny else "note",
        what=_what(splits),
        evidence=(*causes, *harm),
        formula="hash(x_val) = hash(x_train); median d(val, train) / median d(train, train)",
        confidence=1.0 if splits.leaked and harm else 0.7,
        cause=Phrase("The data were split after they had been copied, or were not split."),
        wrong_if=Phrase("the validation is meant to be a part of the training data"),
        not_to_be_confused_with=Phrase("overlapping windows of one series"),
        treatments=(
            Treatment(
                name="split-anew",
                grade="advice",
                why=Phrase(
                    "Take these out (validation:training): {pairs}; split by source.",
                    pairs=", ".join(f"{a}:{b}" for a, b in splits.leaked_pairs) or "-",
                ),
            ),
        ),
    )


def _copies(splits: Splits) -> Evidence | None:
    share = splits.leaked / splits.val_samples
    if share <= max(SHARE, 2 * splits.repeats_within):
        return None
    return Evidence(
        signal=Phrase("validation samples that are training samples, bit for bit"),
        value=share,
        baseline=splits.repeats_within,
        threshold=max(SHARE, 2 * splits.repeats_within),
        unit="share",
    )


def _nearness(splits: Splits) -> Evidence | None:
    ratio = splits.neighbour_ratio
    if ratio is None or ratio >= NEAR or splits.repeats_within > 0.2:
        return None
    return Evidence(
        signal=Phrase(
            "distance to the nearest training sample, of validation over training samples"
        ),
        value=ratio,
        baseline=1.0,
        threshold=NEAR,
        unit="times",
    )


def _inflated(splits: Splits) -> Evidence | None:
    """What is known by heart is scored better than what is new."""
    known = splits.leaked_score if splits.leaked else splits.score
    new = splits.fresh_score if splits.fresh_score is not None else splits.score_within
    if known is None and splits.near_score is not None and splits.near_within is not None:
        # Of numbers: the variance that the nearest sample foretells.
        known, new = splits.near_score, max(0.0, splits.near_within)
    if known is None or new is None or known - new <= INFLATED:
        return None
    return Evidence(
        signal=Phrase("leaked samples named rightly by their nearest one, against new samples"),
        value=known,
        baseline=new,
        threshold=new + INFLATED,
        unit="share",
        witness="harm",
    )


def _what(splits: Splits) -> Phrase:
    if splits.leaked:
        return Phrase(
            "{leaked} of {samples} validation samples are in the training data",
            leaked=splits.leaked,
            samples=splits.val_samples,
        )
    return Phrase("Validation samples are near copies of training samples")
