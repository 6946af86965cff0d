"""Clipping that is always at work, and leaves next to nothing of the gradient."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._clipped_away import clipped_away
from netwright.doctor.conditions._rate import DEEPER
from netwright.doctor.conditions._trials import counterfactual, fits
from netwright.records.findings import Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "clipping-every-step",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=DEEPER,
)
def clipping_every_step(record: Record) -> Iterator[Finding]:
    """Every gradient is clipped to a small part of its length, and the run stands.

    Why it hurts: the limit is then the step: with plain SGD the weights move by rate x limit,
    whatever the loss says. The rate that is set is not the one that works.

    Evidence: of the cause, the gradient is shorter after clipping at more than 90 % of the looks,
    by a factor of 20 or more. Of the harm: the loss stays at that of guessing or fell by under 2 %
    in a hundred steps, or one batch is fitted without clipping in a few steps at which the run
    itself has not got. Measured: SGD at 0.05 to 0.1 with limits of 1e-3 and 1e-4, clipped 500 and
    5000 times, stood; Adam with a limit of 0.01 and SGD with 0.5 learned as without.

    Would be wrong if: the run is no faster without clipping.

    Not to be confused with: clipping at every step in runs that learn: adaptive optimizers do not
    see the length of a gradient, and language models are often trained so.

    Treatment: a limit near the usual length of a gradient; ask.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.
    """
    case = clipped_away(record)
    if case is None:
        return
    yield Finding(
        name="clipping-every-step",
        severity="warn",
        what=Phrase(
            "Every gradient is clipped to 1/{factor} of its length, and the run stands",
            factor=f"{case.causes[1].value:.3g}",
        ),
        evidence=(*case.causes, *case.harms),
        formula="step = rate x limit, for |gradient| > limit",
        cause=Phrase("The limit of the clipping lies far below the length of any gradient."),
        counterfactual=counterfactual(record, 1.0) if fits(record, 1.0) else None,
        wrong_if=Phrase("the run is no faster without clipping"),
        treatments=(
            Treatment(
                name="raise-limit",
                grade="ask",
                why=Phrase("Set the limit near the usual length of a gradient, 1 is common."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
        ),
    )
