"""The first loss is far above that of guessing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import backward_steps, nonfinite, stuck, unfit
from netwright.doctor.conditions._terms import guessing
from netwright.doctor.conditions._validation import late_start
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

FAR = 2.0
"""Times the bound: a start that is off by so much may take a good part of a short run."""

SPENT = 0.2
"""Part of the run that a start may cost at the most."""

FROZEN = 0.1
"""Share of parameters that are not trained, from which on a network was trained before."""

LARGER = {"cross_entropy": 2.0, "nll_loss": 2.0, "binary_cross_entropy_with_logits": 2.0,
          "binary_cross_entropy": 2.0, "mse_loss": 10.0, "l1_loss": 3.2}  # fmt: skip
"""Times guessing (catalogue; for the absolute loss the root of that for the squared one)."""


@CONDITIONS.register(
    "initial-loss-off",
    reads=Record,
    when="before the first step",
    group="start",
    severity="warn",
    yields_to=(
        "unscaled-target", "unscaled-input", "weights-too-large", "labels-out-of-range",
        "labels-shifted", "silent-broadcast", "loss-mismatch", "wrong-dimension",
        "output-activation-mismatch", "inconsistent-preprocessing", "over-regularised",
    ),
)  # fmt: skip
def initial_loss_off(record: Record) -> Iterator[Finding]:
    """Before the first step the loss is far above what guessing costs: sure, and wrong.

    Why it hurts: the first steps go into unlearning what nobody taught. It is a symptom: outputs
    far too large, targets in other units, an input that nobody scaled.

    Evidence: the first loss over that of guessing, on three batches (or three parts of one), more
    than 2 times for losses over classes, 10 times for the squared one. Guessing is the better of
    the best constant's loss and that of equal chances, whichever is larger, so that rare classes
    do not count.

    Would be wrong if: the network was trained before, for another task.

    Not to be confused with: label smoothing, class weights and rare classes, all of which move
    the loss of guessing and are counted in it.

    Treatment: see the causes: scale of the input, of the targets, of the first weights; advice.

    Source: Karpathy 2019, A recipe for training neural networks (verify loss at init).
    """
    objective = record.get(Objective)
    if objective is None or len(objective.parts) != 1 or len(objective.losses) < 3:
        return
    (term,) = objective.parts
    guess = guessing(term) if term.constant is not None else 0.0
    bound = LARGER.get(term.kind)
    if guess <= 0 or bound is None or (term.factor or 0.0) <= 0:
        return
    least = min(objective.losses)
    if not math.isfinite(least) or least <= bound * guess:
        return
    harm = tuple(
        each
        for each in (
            nonfinite(record),
            stuck(record),
            unfit(record),
            backward_steps(record),
            late_start(record, SPENT)
            if least > FAR * bound * guess and not _adapted(record)
            else None,
        )
        if each is not None
    )
    yield Finding(
        name="initial-loss-off",
        severity="warn" if harm else "note",
        what=Phrase(
            "The first loss is {loss:.3g}, where guessing costs {guess:.3g}",
            loss=objective.losses[0],
            guess=guess,
        ),
        evidence=(
            Evidence(
                signal=Phrase("least first loss of {batches} batches, over guessing",
                              batches=len(objective.losses)),
                value=least / guess,
                baseline=1,
                threshold=bound,
                unit="times",
            ),
            *harm[:2],
        ),
        formula="first loss / loss of guessing",
        confidence=0.7,
        cause=Phrase("The outputs are large before anything was learned, or the targets are."),
        wrong_if=Phrase("the network was trained before, for another task"),
        treatments=(
            Treatment(
                name="bias-at-prior",
                grade="ask",
                why=Phrase("Begin with the last bias where guessing is, and smaller weights there "
                           "where the first answers are far too large."),
                code="model.head.bias.data = shares.log()  # mean targets, of numbers",
            ),
            Treatment(
                name="see-causes",
                grade="advice",
                why=Phrase("Look at the scale of the input, of the targets and of the weights."),
            ),
        ),
    )  # fmt: skip


def _adapted(record: Record) -> bool:
    """Whether a part of the network is frozen: it was trained before, and answers as it did."""
    setup = record.get(Setup)
    return setup is not None and setup.trainable < (1 - FROZEN) * setup.params
