"""The loss goes up and down without coming lower: steps undo each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, steps_of, swings
from netwright.doctor.conditions._rate import DEEPER, true_rho
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions.loss_spike import spikes_of
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SWING = 0.3
"""Spread of the windows of the later half over their mean. Measured over healthy runs that were
not done: 0.00 to 0.17; in runs at thirty times their rate: 0.3 and more."""

OFTEN = 0.15
"""Share of looks at which a step raised the loss of its own batch; healthy runs: 0 to 0.07."""


@CONDITIONS.register(
    "oscillating-loss",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=(*DEEPER, "learning-rate-too-high", "divergence", "loss-spike"),
)
def oscillating_loss(record: Record) -> Iterator[Finding]:
    """The loss swings without coming lower, and steps make their own batch worse.

    Why it hurts: what one step gains the next one loses; the run stays above what it had reached.

    Evidence: of the cause, steps that raised the loss of their own batch, at more than 15 % of
    the looks, or whose fall was under a tenth of what they promised in the median; of the harm,
    the swing of the loss over the later half, more than 0.3 of its mean, while its later half is
    no lower than the earlier one.

    Would be wrong if: the loss of the whole set, not of batches, does not swing.

    Not to be confused with: the scatter of small batches, whose steps do lower their own loss;
    cyclic rates; adversarial losses, which swing by nature.

    Treatment: a lower rate, less momentum, larger batches; ask.
    """
    steps, found = steps_of(record), course(record)
    if steps is None or found is None or found.broken is not None or found.done:
        return
    if len(found.windows) < 8 or too_high(record) is not None or spikes_of(steps):
        return
    rho = true_rho(steps)
    if len(rho) < 8:
        return
    worse, middle = float(np.mean(rho < 0)), float(np.median(rho))
    if worse <= OFTEN and middle >= 0.1:
        return
    harm = swings(found, SWING)
    if not harm:
        return
    yield Finding(
        name="oscillating-loss",
        severity="warn",
        what=Phrase("The loss swings without coming lower"),
        evidence=(
            Evidence(
                signal=Phrase("looks at which the step raised the loss of its own batch"),
                value=worse,
                baseline=0.0,
                threshold=OFTEN,
                unit="share",
            ),
            Evidence(
                signal=Phrase("actual over promised fall of the loss, median of the looks"),
                value=middle,
                baseline=0.5,
            ),
            *harm,
        ),
        cause=Phrase("Steps go from one side of the valley to the other."),
        confidence=0.8,
        wrong_if=Phrase("the loss of the whole set does not swing"),
        treatments=(
            Treatment(
                name="lower-rate",
                grade="ask",
                why=Phrase("Lower the rate or the momentum, or take larger batches."),
            ),
            Treatment(
                name="average-weights",
                grade="ask",
                why=Phrase("Answer by the mean of the weights over the last steps."),
            ),
        ),
    )
