"""A plan too short for the length of its steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._clipped_away import clipped_away
from netwright.doctor.conditions._course import EARLY, Course, course, steps_of
from netwright.doctor.conditions._rate import DEEPER, bad_start, warming
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

UNLEARNED = 0.9
"""Of what guessing costs: a loss above that at the end has learned next to nothing."""

SEEN = 3
"""Looks that tell the length of the steps: of a short run there are no more."""

BENT = 0.8
"""Step efficacy over which steps meet hardly any curvature: longer ones, or more, go further."""

TOLD = 4.0
"""Deviations from chance by which the labels of neighbours agree where they tell anything."""

PATH = 0.1
"""Sum of the relative steps of a whole run under which weights stay nearly where they began."""


@CONDITIONS.register(
    "slow-convergence",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=(*DEEPER, "learning-rate-too-low", "clipping-every-step", "scheduler-misuse",
               "weak-optimizer"),
)  # fmt: skip
def slow_convergence(record: Record) -> Iterator[Finding]:
    """All steps of the plan together will hardly move the weights.

    Why it hurts: the run ends before it has come anywhere.

    Evidence: planned steps x the median update over weights, under 0.1, while the loss is far from
    done. A note: a few small steps may be all that is wanted. A warning once the run has come to
    its end after several epochs, its loss is still that of guessing, each step did all that its
    gradient promised, and the neighbours of a sample tell of its label, so that there is
    something to learn.

    Would be wrong if: the loss at the end of the plan is the one that was wanted.

    Not to be confused with: fine-tuning; a rate that is still on its way up.

    Treatment: a higher rate, more epochs, another optimizer; ask.
    """
    found, steps, setup = course(record), steps_of(record), record.get(Setup)
    if found is None or steps is None or setup is None:
        return
    ended = _ended(record)
    plan = setup.planned_steps or (steps.total if ended else 0)
    if not plan or (found.steps < EARLY and not ended):
        return
    if setup.pretrained or found.latest < 0.7 * found.ignorance or found.broken is not None:
        return
    if warming(steps) or bad_start(record) or clipped_away(record):
        return
    if too_high(record) or too_low(record):
        return
    ratio = steps.update_ratio[np.isfinite(steps.update_ratio)]
    if len(ratio) < SEEN:
        return
    size = float(np.median(ratio))
    if size == 0 or plan * size >= PATH:
        return
    harm = _nothing(found, steps) if ended and _told(record) else None
    if ended and harm is None and setup.planned_steps is None:
        return
    yield Finding(
        name="slow-convergence",
        severity="warn" if harm else "note",
        what=Phrase("All {steps} steps of the run moved the weights by {share} only",
                    steps=plan, share=f"{100 * plan * size:.2g} %")
        if ended
        else Phrase("All {steps} steps of the plan will move the weights by {share} only",
                    steps=plan, share=f"{100 * plan * size:.2g} %"),
        evidence=(
            Evidence(
                signal=Phrase("planned steps x update over weights"),
                value=plan * size,
                threshold=PATH,
            ),
            harm or Evidence(
                signal=Phrase("loss of the last steps, against that of knowing nothing"),
                value=found.latest,
                baseline=found.ignorance,
            ),
        ),
        cause=Phrase("The steps are short, and there are few of them."),
        confidence=0.6,
        wrong_if=Phrase("the loss at the end of the plan is the one that was wanted"),
        treatments=(
            Treatment(
                name="longer-or-faster",
                grade="ask",
                why=Phrase("Raise the rate, plan more epochs, or take another optimizer."),
            ),
        ),
    )  # fmt: skip


def _told(record: Record) -> bool:
    """Whether the neighbours of a sample tell anything of its label: else there may be nothing to
    learn, however long the run."""
    near = record.get(Neighbourhood)
    return near is not None and near.z is not None and near.z >= TOLD


def _ended(record: Record) -> bool:
    """Whether the loop came to its end, and was a training: validated twice, or of many steps."""
    loop, epochs = record.get(Loop), record.get(Epochs)
    if loop is None or not loop.ended or not loop.steps:
        return False
    return loop.steps >= EARLY or (epochs is not None and len(epochs.epochs) >= 2)


def _nothing(found: Course, steps: Steps) -> Evidence | None:
    """At the end the loss is that of guessing, though every step was worth its length."""
    rho = steps.rho[np.isfinite(steps.rho)]
    if found.guess is None or found.latest < UNLEARNED * found.guess or len(rho) < SEEN:
        return None
    if float(np.median(rho)) < BENT:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of knowing nothing"),
        value=found.latest,
        baseline=found.guess,
        threshold=UNLEARNED * found.guess,
        witness="harm",
        step=found.steps,
    )
