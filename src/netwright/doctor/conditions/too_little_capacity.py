"""A network too small for even one batch."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import LONG, floored, unfit
from netwright.doctor.conditions._rate import (
    DEEPER,
    bad_start,
    too_high,
    too_low,
    too_much_regularised,
)
from netwright.records.facts.fit import Fit
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

FEW = 20
"""Parameters for each sample of a batch, under which it may be that they do not suffice."""

RESTED = 0.02
"""Fall over the last fifth of a trial, over its first loss, under which it has come to rest."""


@CONDITIONS.register(
    "too-little-capacity",
    reads=Record,
    when="before the first step",
    group="structure",
    severity="warn",
    yields_to=(
        *DEEPER, "learning-rate-too-high", "learning-rate-too-low", "weak-optimizer",
        "over-regularised", "missing-nonlinearity", "bottleneck",
    ),
)  # fmt: skip
def too_little_capacity(record: Record) -> Iterator[Finding]:
    """The network is too small: it cannot learn even one batch by heart.

    Why it hurts: what cannot be fitted on one batch cannot be fitted on all; more training does not
    help.

    Evidence: of the cause, fewer than 20 trainable parameters for each sample of the batch, and
    a best trial that has come to rest; of the harm, one batch that is fitted neither at three rates
    nor by Adam.

    Would be wrong if: more steps on the batch fit it; the targets are noise that nobody should fit.

    Not to be confused with: a bad start, a rate that does not work, a loss with a floor: each comes
    first; a small model that is meant to be one, and learns.

    Treatment: wider or more layers; ask.
    """
    fit, setup, found = record.get(Fit), record.get(Setup), course(record)
    cannot = unfit(record)
    if fit is None or setup is None or cannot is None or fit.best is None or not fit.batch:
        return
    best = min(
        [fit.best, *(v for v in fit.variants.values() if v.end == v.end)], key=lambda t: t.end
    )
    adam = fit.variants.get("adam")
    if floored(record) or bad_start(record) or too_high(record) or too_low(record):
        return
    if too_much_regularised(record) or (found and found.steps >= LONG and found.learned):
        return
    if adam is not None and adam.end < 0.5 * adam.start:
        return
    share = setup.trainable / fit.batch
    if share >= FEW or best.falling > RESTED or best.end > 0.97 * best.start:
        return
    yield Finding(
        name="too-little-capacity",
        severity="warn",
        what=Phrase("The network is too small to learn one batch of {count} by heart",
                    count=fit.batch),
        evidence=(
            Evidence(
                signal=Phrase("trainable parameters for each sample of the batch"),
                value=share,
                threshold=FEW,
            ),
            Evidence(
                signal=Phrase("fall over the last fifth of the best trial, over its first loss"),
                value=best.falling,
                threshold=RESTED,
                unit="share",
            ),
            cannot,
        ),
        cause=Phrase("There are too few weights for what the targets ask."),
        confidence=0.7,
        wrong_if=Phrase("more steps on the batch fit it, or its targets are noise"),
        treatments=(
            Treatment(
                name="widen",
                grade="ask",
                why=Phrase("Make the layers wider, or add some, with activations between them."),
            ),
        ),
    )  # fmt: skip
