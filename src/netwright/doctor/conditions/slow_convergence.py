"""A plan too short for the length of its steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, course, steps_of
from netwright.doctor.conditions._harm import LOOKS
from netwright.doctor.conditions._rate import (
    DEEPER,
    bad_start,
    clipped_away,
    too_high,
    too_low,
    warming,
)
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

PATH = 0.1
"""Sum of the relative steps of a whole run under which weights stay nearly where they began."""


@CONDITIONS.register(
    "slow-convergence",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="note",
    yields_to=(*DEEPER, "learning-rate-too-low", "clipping-every-step", "scheduler-misuse",
               "weak-optimizer"),
)  # fmt: skip
def slow_convergence(record: Record) -> Iterator[Finding]:
    """All steps of the plan together will hardly move the weights.

    Why it hurts: the run ends before it has come anywhere.

    Evidence: planned steps x the median update over weights, under 0.1, while the loss is far from
    done. A note: a few small steps may be all that is wanted.

    Would be wrong if: the loss at the end of the plan is the one that was wanted.

    Not to be confused with: fine-tuning; a rate that is still on its way up.

    Treatment: a higher rate, more epochs, another optimizer; ask.
    """
    found, steps, setup = course(record), steps_of(record), record.get(Setup)
    plan = setup.planned_steps if setup is not None else None
    if found is None or steps is None or setup is None or not plan or found.steps < EARLY:
        return
    if setup.pretrained or found.latest < 0.7 * found.ignorance or found.broken is not None:
        return
    if warming(steps) or bad_start(record) or clipped_away(record):
        return
    if too_high(record) or too_low(record):
        return
    ratio = steps.update_ratio[np.isfinite(steps.update_ratio)]
    if len(ratio) < LOOKS:
        return
    size = float(np.median(ratio))
    if size == 0 or plan * size >= PATH:
        return
    yield Finding(
        name="slow-convergence",
        severity="note",
        what=Phrase("All {steps} steps of the plan will move the weights by {share} only",
                    steps=plan, share=f"{100 * plan * size:.2g} %"),
        evidence=(
            Evidence(
                signal=Phrase("planned steps x update over weights"),
                value=plan * size,
                threshold=PATH,
            ),
            Evidence(
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
