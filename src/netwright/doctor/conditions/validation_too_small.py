"""Too few validation samples for the differences that are judged by them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.setup import Setup
from netwright.records.facts.splits import Splits
from netwright.records.findings import Evidence, Finding, Treatment, percent
from netwright.records.record import Record

WIDE = 0.05
"""Half the width of the 95 % interval of a score, at 385 samples and a score of one half."""

BLIND = 0.3
"""Width that leaves room for nearly any result: under 40 samples at a score of one half."""

LOOKS = 3
"""Evaluations after which the score was in use."""

SPARED = 20
"""Training samples for each of validation, from which on more could have been spared."""

VERY_WIDE = 0.1
"""Before the first epoch, when the score is not known: under 97 samples."""


@CONDITIONS.register(
    "validation-too-small",
    reads=Record,
    when="after epochs",
    group="generalisation",
    severity="warn",
)
def validation_too_small(record: Record) -> Iterator[Finding]:
    """The interval of the validation score is wider than the differences it is used to judge.

    Why it hurts: the best epoch, or the better of two settings, is chosen by chance, and its score
    is too good by about that chance.

    Evidence: half the width of the 95 % interval of a share, 1.96 sqrt(p (1 - p) / n), against the
    difference between the best epoch and the median of the later half. A note; a warning where the
    interval is of 30 points from end to end, though training has twenty times as many samples:
    after three evaluations the score has told next to nothing.

    Would be wrong if: nothing is chosen by this score.

    Not to be confused with: a score that varies because the training does.

    Treatment: more validation samples, cross-validation, or no smaller differences than the
    interval; advice.

    Source: Bouckaert & Frank 2004, Evaluating the replicability of significance tests; the interval
    of a binomial share.
    """
    samples = _samples(record)
    if not samples:
        return
    epochs = record.get(Epochs)
    scores = [
        e.val_score
        for e in (epochs.epochs if epochs is not None else ())
        if e.val_score is not None
    ]
    likely = sorted(scores)[len(scores) // 2] if scores else 0.5
    half = 1.96 * math.sqrt(max(likely * (1 - likely), 1 / samples) / samples)
    if half <= (WIDE if scores else VERY_WIDE):
        return
    later = scores[len(scores) // 2 :]
    judged = max(scores) - sorted(later)[len(later) // 2] if len(scores) >= 4 else None
    if judged is not None and judged > half:
        return
    harm = _blind(record, scores, likely, samples)
    yield Finding(
        name="validation-too-small",
        severity="warn" if harm else "note",
        what=Phrase(
            "{samples} validation samples tell a score to within {half} points",
            samples=samples,
            half=f"{100 * half:.2g}",
        ),
        evidence=(
            Evidence(
                signal=Phrase("half the width of the 95 % interval"),
                value=half,
                baseline=judged,
                threshold=WIDE if scores else VERY_WIDE,
                unit="share",
            ),
            *harm,
        ),
        formula="1.96 sqrt(p (1 - p) / n)",
        confidence=0.8,
        cause=Phrase("The score of so few samples moves by chance as much as by what is changed."),
        wrong_if=Phrase("nothing is chosen by this score"),
        not_to_be_confused_with=Phrase("a score that varies because the training does"),
        treatments=(
            Treatment(
                name="larger-validation",
                grade="advice",
                why=Phrase("Take more validation samples, or cross-validate."),
            ),
        ),
    )


def _samples(record: Record) -> int | None:
    splits, setup, epochs = record.get(Splits), record.get(Setup), record.get(Epochs)
    if splits is not None and splits.val_total:
        return splits.val_total
    if setup is not None and setup.val_samples:
        return setup.val_samples
    last = epochs.epochs[-1].val_samples if epochs is not None and epochs.epochs else 0
    return last or None


def _blind(
    record: Record, scores: list[float], likely: float, samples: int
) -> tuple[Evidence, ...]:
    """What the interval leaves open once scores were read from it again and again."""
    setup = record.get(Setup)
    training = setup.train_samples if setup is not None else None
    low, high = _interval(likely, samples)
    if len(scores) < LOOKS or high - low < BLIND:
        return ()
    if not training or training < SPARED * samples:
        return ()
    return (
        Evidence(
            signal=Phrase(
                "least true score that the one of {score} leaves room for", score=percent(likely)
            ),
            value=low,
            baseline=high,
            unit="share",
            witness="harm",
        ),
    )


def _interval(share: float, samples: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval.

    >>> [round(each, 2) for each in _interval(0.5, 12)]
    [0.25, 0.75]
    """
    middle = share + z * z / (2 * samples)
    half = z * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples**2))
    whole = 1 + z * z / samples
    return (middle - half) / whole, (middle + half) / whole
