"""A network too small for even one batch."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._capacity import far_from_done, is_noise, outdone
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import LONG, floored, unfit
from netwright.doctor.conditions._rate import DEEPER, bad_start
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
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
        "over-regularised", "missing-nonlinearity", "bottleneck", "vanishing-gradients",
    ),
)  # fmt: skip
def too_little_capacity(record: Record) -> Iterator[Finding]:
    """The network is too small: it cannot learn even one batch by heart.

    Why it hurts: what cannot be fitted on one batch cannot be fitted on all; more training does not
    help.

    Evidence: of the cause, fewer than 20 trainable parameters for each sample of the batch, and
    either a best trial that has come to rest or two plain hidden layers that fit the same batch; of
    the harm, one batch that is fitted neither at three rates nor by Adam, or a run that still
    stands above half of guessing.

    Would be wrong if: more steps on the batch fit it; the targets are noise that nobody should fit.

    Not to be confused with: a bad start, a rate that does not work, a loss with a floor: each comes
    first; a small model that is meant to be one, and learns.

    Treatment: wider or more layers; ask.
    """
    fit, setup = record.get(Fit), record.get(Setup)
    if fit is None or setup is None or fit.best is None or not fit.batch:
        return
    share = setup.trainable / fit.batch
    shown = _proved(record, fit)
    if share >= FEW or shown is None or floored(record) or bad_start(record):
        return
    if too_high(record) or too_low(record) or too_much_regularised(record):
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
            *shown,
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


def _proved(record: Record, fit: Fit) -> tuple[Evidence, ...] | None:
    """A trial that has come to rest, or a plain network that does better and a run that does not.

    Nothing before it is known: a network that learns is large enough."""
    cannot, plain, far = unfit(record), outdone(record), far_from_done(record)
    if plain is not None and far is not None:
        return plain, far
    found, adam = course(record), fit.variants.get("adam")
    if cannot is None or (found and found.steps >= LONG and found.learned) or is_noise(record):
        return None
    best = min((e for e in (*fit.trials, *fit.variants.values()) if e.end == e.end),
               key=lambda each: each.end)  # fmt: skip
    if adam is not None and adam.end < 0.5 * adam.start:
        return None
    if best.falling > RESTED or best.end > 0.97 * best.start:
        return None
    return (
        Evidence(
            signal=Phrase("fall over the last fifth of the best trial, over its first loss"),
            value=best.falling,
            threshold=RESTED,
            unit="share",
        ),
        cannot,
    )
