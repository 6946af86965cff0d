"""The witnesses of harm that all conditions share (H1 to H5 of the catalogue): what a fault costs.

Each gives evidence or nothing. A condition that has shown a cause asks for those that its fault
would bring about; without any it says a note, if anything.
"""

from __future__ import annotations

import numpy as np

from netwright.core.languages import Phrase
from netwright.records.facts.answers import Answers
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.labels import Labels
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence
from netwright.records.record import Record

NEAR = 0.02
"""H1: a loss this close to that of the best constant, or worse, has learned nothing."""

LEARNED = 0.3
"""H3: share of guessing under which a run has learned what no trial on a copy could."""

LONG = 300
"""H1: steps after which that is no longer the beginning."""

FAR = 0.5
"""H5: part of a floor that no run comes under which has it."""

DOUBTED = 0.25
"""H2: a share of steps uphill that batches alone may bring about."""

LOOKS = 5
"""H2: looks below which a share of steps says little."""


CLEAR = 0.8
"""H3: of a loss with an unknown floor, the share of the first one that has clearly fallen."""

OFF = 0.1
"""Loss of guessing over the first one, under which a batch tells nothing of guessing (its targets
are all alike) or the start is so far off that to come half of the way is to learn."""

ENOUGH = 5
"""Labels read for each class that there is, from which on their shares are known."""


def entropy_of_labels(record: Record) -> float | None:
    """What guessing costs in nats by the shares of all labels that were read: the best constant of
    one batch knows that batch alone, and costs nothing where data are fed sorted. None where the
    loss is no cross-entropy of classes, or too few were read."""
    labels, objective = record.get(Labels), record.get(Objective)
    if labels is None or objective is None or labels.source != "train" or not labels.complete:
        return None
    plain = objective.kind in ("cross_entropy", "nll_loss") and not objective.weighted
    if not plain or objective.smoothing or labels.places or objective.terms > 1:
        return None
    if labels.known < ENOUGH * len(labels.values):
        return None
    shares = np.asarray(labels.counts, dtype=float) / labels.known
    return float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())


DRIFTED = 2.0
"""Spread of the latest targets over that of the first: further apart they are other targets."""


def of_one_form(record: Record) -> bool:
    """Whether every step makes the same loss smaller: else what guessing costs in the first says
    nothing of the others. Targets that the network makes itself grow as it learns."""
    answers = record.get(Answers)
    if answers is None:
        return True
    if len(answers.targets) >= LOOKS:
        first, late = (
            float(np.median(some)) for some in (answers.targets[:3], answers.targets[-3:])
        )
        if not first / DRIFTED <= late <= first * DRIFTED:
            return False
    return answers.forms < 2


def any_of(*evidence: Evidence | None) -> tuple[Evidence, ...]:
    """Those that are there."""
    return tuple(each for each in evidence if each is not None)


def harms(record: Record) -> tuple[Evidence, ...]:
    """Every witness of harm there is, the surest first."""
    return any_of(
        nonfinite(record), stuck(record), unfit(record), backward_steps(record), floored(record)
    )


def stuck(record: Record) -> Evidence | None:
    """H1: after an epoch or 300 steps the loss is still that of the best constant prediction."""
    steps, objective = record.get(Steps), record.get(Objective)
    if steps is None or objective is None or objective.constant is None or objective.constant <= 0:
        return None
    if not of_one_form(record):
        return None
    setup = record.get(Setup)
    epoch = setup.steps_per_epoch if setup is not None else None
    if steps.total < max(40, min(LONG, epoch or LONG)):
        return None
    latest = _latest(steps, objective)
    if latest is None or latest < (1 - NEAR) * objective.constant:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of the best constant"),
        value=latest,
        baseline=objective.constant,
        threshold=(1 - NEAR) * objective.constant,
        witness="harm",
        step=steps.total,
    )


def _latest(steps: Steps, objective: Objective) -> float | None:
    """The loss of the last steps as the loop's own function gives it; None after a few steps."""
    windows = steps.smoothed(20)
    if len(windows) < 2:
        return None
    return float(np.median(windows[-3:])) / (objective.factor or 1.0)


def learned(record: Record) -> bool:
    """Whether the run has come so far below guessing that it can be said to fit its data."""
    steps, objective = record.get(Steps), record.get(Objective)
    if steps is None or objective is None or not objective.constant or objective.constant < 0:
        return False
    latest = _latest(steps, objective)
    return latest is not None and latest < LEARNED * objective.constant and of_one_form(record)


def backward_steps(record: Record, share: float = 0.4) -> Evidence | None:
    """H2: steps that made the loss of their own batch worse."""
    steps = record.get(Steps)
    if steps is None:
        return None
    rho = steps.rho[np.isfinite(steps.rho)]
    if len(rho) < LOOKS:
        return None
    worse = float(np.mean(rho < 0))
    # Of few looks a share is off by chance: nine in ten such samples of a loop at `DOUBTED` differ
    # from it by less.
    chance = 1.28 * (worse * (1 - worse) / len(rho)) ** 0.5
    if worse <= share or worse - chance < DOUBTED:
        return None
    return Evidence(
        signal=Phrase("steps that raised the loss of their own batch"),
        value=worse,
        baseline=0.0,
        threshold=share,
        unit="share",
        witness="harm",
        step=steps.total,
    )


def unfit(record: Record) -> Evidence | None:
    """H3: one batch cannot be fitted on a copy, at none of the rates that were tried. Later on a
    run that has fitted its data says more than these few steps did."""
    fit = record.get(Fit)
    if fit is None or not fit.trials or not fit.complete or learned(record):
        return None
    if any(fitted(each, fit) for each in fit.trials):
        return None
    best = fit.best
    start = fit.trials[0].start
    if not np.isfinite(start):
        return None  # no loss to begin with: `nonfinite` tells
    return Evidence(
        signal=Phrase(
            "loss of one batch after {steps} steps on it alone, at the best of {rates} rates",
            steps=fit.trials[0].steps,
            rates=len(fit.trials),
        ),
        value=best.end if best is not None else float("nan"),
        baseline=start,
        witness="harm",
    )


def fitted(trial: FitTrial, fit: Fit) -> bool:
    """Whether a trial brought its batch well below where it began, and below any constant.

    Of a loss of which nobody knows the least value (a likelihood, a bound, several terms) half of
    the first one means nothing: there the measure is the lowest that any trial reached, if that is
    a clear fall."""
    if fit.constant is not None and fit.constant >= OFF * trial.start:
        # A start that dropout lifts to twice guessing is halved by guessing alone.
        bound = min(max(0.5 * trial.start, 0.7 * fit.constant), 0.9 * fit.constant)
        return trial.end <= min(0.7 * trial.start, bound)
    bound = 0.5 * trial.start
    if fit.constant is None and trial.start > 0:
        ends = [e.end for e in (*fit.trials, *fit.variants.values()) if e.end == e.end]
        lowest = min(ends, default=trial.start)
        if lowest < CLEAR * trial.start:
            bound = max(bound, 0.5 * (trial.start + lowest))
    return trial.end <= bound


def came_below(record: Record, floor: float, factor: float | None) -> bool:
    """Whether the run itself went far below what was held to be the least that its loss can reach:
    then it is none, as where a temperature falls or a bound is learned. A floor is that of the
    targets of one batch, so that others may lie a little lower."""
    steps = record.get(Steps)
    if steps is None or not factor or factor <= 0:
        return False
    windows = steps.smoothed(10)
    if not len(windows):
        return False
    objective = record.get(Objective)
    first = objective.first_loss if objective is not None else None
    # What a loss scaler multiplies with is in the factor, and in no loss of a step.
    scaled = first and abs(windows[0] - first) < abs(windows[0] / factor - first)
    return float(windows.min()) / (1.0 if scaled else factor) < FAR * floor


def nonfinite(record: Record) -> Evidence | None:
    """H4: values that are not finite."""
    found = record.get(NonFinite)
    if found is None:
        return None
    return Evidence(
        signal=Phrase("first step with a value that is not finite"),
        value=found.step,
        witness="harm",
        layer=found.layer,
        step=found.step,
    )


def floored(record: Record, share: float = 0.2) -> Evidence | None:
    """H5: a floor below which the loss cannot fall, high against guessing."""
    objective = record.get(Objective)
    if objective is None or objective.floor is None or not objective.constant:
        return None
    least = objective.least or 0.0
    if came_below(record, objective.floor, objective.factor):
        return None
    if objective.floor - least < share * (objective.constant - least):
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=objective.floor,
        baseline=objective.constant,
        threshold=least + share * (objective.constant - least),
        witness="harm",
    )
