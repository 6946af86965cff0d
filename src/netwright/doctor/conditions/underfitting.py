"""Training has stopped to get better, far from solved, though one batch can be fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._capacity import far_from_done, outdone
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import LOOKS, any_of, fitted
from netwright.doctor.conditions._roots import PROVED
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.fit import Fit
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SOLVED = 0.5
"""Of the loss of guessing: below it, training has found most of what there is to find."""

FLAT = 0.01
"""The fall of the loss over the last third of the run, of its value."""

STRAIGHT = 0.8
"""Step efficacy above which steps meet hardly any curvature."""

PATH = 0.3
"""Sum of the relative steps of a whole run under which weights stay nearly where they began."""

GAP = 0.1
"""Validation above training by this part or less: it is not over-fitted."""


@CONDITIONS.register(
    "underfitting",
    reads=Record,
    when="after epochs",
    group="generalisation",
    severity="warn",
    yields_to=(
        *PROVED, "learning-rate-too-low", "learning-rate-too-high", "labels-inconsistent",
        "label-noise", "vanishing-gradients", "exploding-gradients", "dead-relu",
        "over-regularised", "saturated-units", "weak-optimizer", "divergence", "noisy-gradients",
        "missing-nonlinearity", "unscaled-input", "bottleneck", "scheduler-misuse",
        "destructive-augmentation", "dead-feature", "unshuffled-data", "too-little-capacity",
        "unscaled-target", "constant-output", "clipping-every-step", "oscillating-loss",
        "batchnorm-small-batch", "batchnorm-bad-momentum", "batchnorm-on-output", "wrong-mode",
        "dead-branch", "receptive-field-too-small", "stopped-early", "slow-convergence",
    ),
)  # fmt: skip
def underfitting(record: Record) -> Iterator[Finding]:
    """The network cannot express, or is not let express, what the training data ask for.

    Why it hurts: neither more epochs nor more data help; the score on new data is bounded by that
    on the training data.

    Evidence: two plain hidden layers are better on samples that they have not seen than the run is,
    and fit the batch that this network fits at no rate; or the training loss is flat over the last
    third of the run, still above half of what guessing costs, the validation loss no more than 10 %
    above it, steps that go no further down. Flat alone is a note: that is also how a run ends that
    has learned all that noisy labels let be learned.

    Would be wrong if: the labels cannot be told from the inputs (noise), so that nobody could do
    better: then a larger network over-fits at once.

    Not to be confused with: a run that is merely slow: its steps still do what their gradients
    promise, and the loss still falls.

    Treatment: more capacity, less regularisation, another rate; ask.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 5.2.
    """
    shown = list(_outdone(record))
    if shown:
        yield from shown
        return
    steps, objective, told = record.get(Steps), record.get(Objective), record.get(Epochs)
    setup, fit = record.get(Setup), record.get(Fit)
    if steps is None or objective is None or not objective.constant or told is None:
        return
    if setup is not None and setup.special:
        return
    epochs = [each for each in told.epochs if each.train_loss is not None]
    if len(epochs) < 6 or steps.total < 200:
        return
    losses = np.array([each.train_loss for each in epochs], dtype=float)
    third = len(losses) // 3
    latest = float(losses[-third:].mean())
    before = float(losses[-2 * third : -third].mean())
    fall = (before - latest) / before if before > 0 else 0.0
    if latest < SOLVED * objective.constant or abs(fall) > FLAT:
        return
    rates = steps.lr[np.isfinite(steps.lr)]
    if len(rates) and rates[-1] < 0.05 * rates.max():  # a schedule at its end: flat by plan
        return
    validation = epochs[-1].val_loss
    if validation is not None and validation > (1 + GAP) * latest:
        return
    can = fit is not None and any(fitted(each, fit) for each in fit.trials)
    rho = steps.rho[np.isfinite(steps.rho)]
    if not can or len(rho) < LOOKS or _slow(steps, rho):
        return
    harm = _more_to_have(record)
    yield Finding(
        name="underfitting",
        severity="warn" if harm else "note",
        step=steps.total,
        what=Phrase(
            "The training loss stays at {loss:.3g}; guessing costs {constant:.3g}",
            loss=latest,
            constant=objective.constant,
        ),
        evidence=(
            Evidence(
                signal=Phrase("fall of the training loss over the last third of the run"),
                value=fall,
                threshold=FLAT,
                unit="share",
                step=steps.total,
            ),
            Evidence(
                signal=Phrase("training loss, against guessing"),
                value=latest,
                baseline=objective.constant,
                threshold=SOLVED * objective.constant,
                step=steps.total,
            ),
            *harm,
        ),
        confidence=0.6,
        cause=Phrase("One batch can be fitted and all of them together cannot."),
        wrong_if=Phrase("a larger network, trained as long, ends no lower on the training data"),
        not_to_be_confused_with=Phrase("a run that is merely slow: its loss still falls"),
        treatments=(
            Treatment(
                name="more-capacity",
                grade="ask",
                why=Phrase("Widen or deepen the network, or regularise less."),
            ),
        ),
    )


def _more_to_have(record: Record) -> tuple[Evidence, ...]:
    """That a plain network, in a moment, came further on samples that it had not seen."""
    found = course(record)
    return any_of(far_from_done(record), behind(record, found) if found else None)[:1]


def _slow(steps: Steps, rho: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether the steps met no curvature, and all of them together hardly moved the weights."""
    ratio = steps.update_ratio[np.isfinite(steps.update_ratio)]
    if not len(ratio) or float(np.median(rho)) < STRAIGHT:
        return False
    return steps.total * float(np.median(ratio)) < PATH


def _outdone(record: Record) -> Iterator[Finding]:
    """Another network of two plain layers learns from the same inputs what this one does not: what
    they tell does not come through, whatever stands in its way."""
    cause, harm = outdone(record), far_from_done(record)
    if cause is None or harm is None:
        return
    yield Finding(
        name="underfitting",
        severity="warn",
        step=harm.step,
        what=Phrase("A plain network learns from these inputs what this one does not"),
        evidence=(cause, harm),
        confidence=0.6,
        cause=Phrase("What the inputs tell of the targets does not come through this network."),
        counterfactual=Phrase(
            "Two plain hidden layers come to {others} on samples that they have not seen.",
            others=f"{harm.baseline or 0.0:.3g}",
        ),
        wrong_if=Phrase("the loss goes on falling in a longer run"),
        not_to_be_confused_with=Phrase("a rate, a start or a loss at fault: these come first"),
        treatments=(
            Treatment(
                name="look-at-what-is-read",
                grade="advice",
                why=Phrase(
                    "See that every part of the input reaches the output: which step of a "
                    "sequence is read, what is pooled, what is cut off."
                ),
            ),
            Treatment(
                name="insert-activation",
                grade="ask",
                why=Phrase("Put an activation between linear layers that follow each other."),
            ),
            Treatment(
                name="norm-or-residual",
                grade="ask",
                why=Phrase("Batch normalisation, or residual connections round the layers."),
            ),
            Treatment(
                name="more-capacity",
                grade="ask",
                why=Phrase("Widen or deepen the network, or regularise less."),
            ),
        ),
    )
