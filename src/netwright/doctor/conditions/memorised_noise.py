"""Everything in the training set is known by heart, and validation stays far below it."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.epochs import Epochs
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

KNOWN = 0.99
GAP = 0.2


@CONDITIONS.register(
    "memorised-noise",
    reads=Record,
    when="after epochs",
    group="generalisation",
    severity="warn",
    yields_to=("overfitting", "labels-inconsistent", "inconsistent-preprocessing"),
)
def memorised_noise(record: Record) -> Iterator[Finding]:
    """The training set is fitted to the last sample while validation falls behind and gets worse.

    Why it hurts: a network that also fits wrong labels has learned them; what it knows of them it
    applies to new images.

    Evidence: training score of at least 99 %, validation score at least 20 points below it, and
    below the best it had by more than two standard errors.

    Would be wrong if: validation data come from somewhere else than the training data.

    Not to be confused with: a small data set fitted to the end, whose validation score stays at
    its best: that is how networks are, and does no harm.

    Treatment: look at the hardest samples, clean labels, a loss that forgives; ask.

    Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization;
    Arpit et al. 2017, A closer look at memorization in deep networks.
    """
    told = record.get(Epochs)
    seen = [
        each
        for each in (told.epochs if told else ())
        if each.train_score is not None and each.val_score is not None and each.val_samples
    ]
    if len(seen) < 4:
        return
    last = seen[-1]
    best = max(seen, key=lambda each: each.val_score or 0.0)
    train, score, top = last.train_score or 0.0, last.val_score or 0.0, best.val_score or 0.0
    # Of scores near 0 or 1 the plain error is far too small (Agresti & Coull 1998).
    shrunk = (top * last.val_samples + 2) / (last.val_samples + 4)
    error = (shrunk * (1 - shrunk) / (last.val_samples + 4)) ** 0.5
    if train < KNOWN or train - score < GAP or top - score <= 2 * error or best.epoch == last.epoch:
        return
    yield Finding(
        name="memorised-noise",
        severity="warn",
        step=best.step,
        what=Phrase(
            "Training is at {train:.1%}, validation at {score:.1%}, and it was at {top:.1%}",
            train=train,
            score=score,
            top=top,
        ),
        evidence=(
            Evidence(
                signal=Phrase("training score over validation score"),
                value=train - score,
                threshold=GAP,
                unit="share",
                step=last.step,
            ),
            Evidence(
                signal=Phrase("validation score, against the best it had"),
                value=score,
                baseline=top,
                threshold=top - 2 * error,
                unit="share",
                witness="harm",
                step=last.step,
            ),
        ),
        confidence=0.7,
        cause=Phrase(
            "What is fitted last are the samples that follow no rule, wrong labels first."
        ),
        wrong_if=Phrase("the validation score comes back to its best in later epochs"),
        treatments=(
            Treatment(
                name="clean-labels",
                grade="ask",
                why=Phrase("Look at the training samples that were learned last."),
            ),
            Treatment(
                name="robust-loss",
                grade="ask",
                why=Phrase("Label smoothing, or fewer epochs, forgive wrong labels."),
            ),
        ),
    )
