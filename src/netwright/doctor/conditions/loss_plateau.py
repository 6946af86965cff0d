"""The loss stands still, well above zero, while gradients are there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, steps_of
from netwright.doctor.conditions._harm import LONG
from netwright.doctor.conditions._rate import rate_gone
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "loss-plateau",
    reads=Record,
    when="after epochs",
    group="rate",
    severity="note",
    yields_to=("learning-rate-too-high", "learning-rate-too-low", "scheduler-misuse",
               "oscillating-loss", "underfitting"),
)  # fmt: skip
def loss_plateau(record: Record) -> Iterator[Finding]:
    """The loss has come to a stand well above zero, though its gradients are not small.

    Why it hurts: steps at this rate only wander about the valley; a lower rate would go down into
    it. Or there is no more to learn: that looks the same, and so this is a note.

    Evidence: the fall over the last third of the run, under 2 %, in a run that has learned and is
    not done; the length of the gradients there against that in the first third.

    Would be wrong if: lowering the rate tenfold for an epoch does not lower the loss.

    Not to be confused with: a run that never left the loss of guessing; noise in the labels, which
    is a floor for any rate.

    Treatment: a schedule that lowers the rate; ask.
    """
    found, steps = course(record), steps_of(record)
    if found is None or steps is None or found.steps < LONG or not found.learned or found.done:
        return
    if too_high(record) or too_low(record) or rate_gone(steps) or len(found.windows) < 9:
        return
    third = len(found.windows) // 3
    late = found.windows[-third:]
    fall = float(found.windows[-2 * third : -third].mean() - late.mean()) / float(late.mean())
    norms = steps.grad_norm[np.isfinite(steps.grad_norm)]
    if abs(fall) > 0.02 or len(norms) < 9:
        return
    first, last = (float(np.median(part)) for part in (norms[: len(norms) // 3],
                                                       norms[-(len(norms) // 3) :]))  # fmt: skip
    if last < 0.3 * first:
        return
    yield Finding(
        name="loss-plateau",
        severity="note",
        step=int(found.ends[-third]),
        what=Phrase("The loss stands at {loss} since step {step}, and its gradients are not small",
                    loss=f"{found.latest:.3g}", step=int(found.ends[-third])),
        evidence=(
            Evidence(
                signal=Phrase("relative fall of the loss over the last third"),
                value=fall,
                threshold=0.02,
                unit="share",
            ),
            Evidence(
                signal=Phrase("length of the gradients in the last third, against the first"),
                value=last,
                baseline=first,
            ),
        ),
        cause=Phrase("Steps of this length wander about the valley, or there is no more to learn."),
        confidence=0.5,
        wrong_if=Phrase("a tenth of the rate for an epoch does not lower the loss"),
        treatments=(
            Treatment(
                name="lower-at-plateau",
                grade="ask",
                why=Phrase("Lower the rate where the loss stands, or over the whole run."),
                code="torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)",
            ),
        ),
    )  # fmt: skip
