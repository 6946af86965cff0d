"""Adam's two averages, and which of them is the longer."""

from __future__ import annotations

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import Course, course, halted, risen, steps_of
from netwright.doctor.conditions._harm import any_of, nonfinite, stuck
from netwright.doctor.conditions._rate import groups
from netwright.doctor.conditions._too_high import OVERWRITTEN
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


def short_memory(record: Record) -> Finding | None:
    """Moments of Adam in the wrong order of length, and a step that shows it."""
    wrong = [
        each
        for each in groups(record)
        if each.beta1 is not None and each.beta2 is not None and each.beta1 > each.beta2**0.5
    ]
    steps, found = steps_of(record), course(record)
    if not wrong or steps is None or found is None:
        return None
    beta1, beta2 = wrong[0].beta1 or 0.0, wrong[0].beta2 or 0.0
    harm = any_of(
        nonfinite(record), stuck(record), risen(found), halted(found), _above(found),
        _longest(steps),
    )  # fmt: skip
    return Finding(
        name="weak-optimizer",
        severity="warn" if harm else "note",
        what=Phrase("Adam averages gradients for longer (beta1 {one}) than their squares "
                    "(beta2 {two})", one=f"{beta1:g}", two=f"{beta2:g}"),
        evidence=(
            Evidence(
                signal=Phrase("beta1, against the root of beta2"),
                value=beta1,
                baseline=0.9,
                threshold=beta2**0.5,
            ),
            *harm,
        ),
        formula="|step| <= rate (1 - beta1) / (1 - beta2)^(1/2), bounded for beta1 < beta2^(1/2)",
        cause=Phrase("A small gradient after large ones is divided by its own size alone, while "
                     "the sum above it is that of all the large ones."),
        confidence=0.9 if harm else 0.6,
        wrong_if=Phrase("the same run with the usual betas is no better"),
        treatments=(
            Treatment(
                name="usual-betas",
                grade="ask",
                why=Phrase("Take the usual betas: 0.9 for the mean, 0.999 for the squares."),
                code="betas=(0.9, 0.999)",
            ),
        ),
    )  # fmt: skip


def _longest(steps: Steps) -> Evidence | None:
    """A step after the first ones that was half as long as the weights."""
    ratio = steps.update_ratio[steps.step > 3]
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio) or float(ratio.max()) < OVERWRITTEN:
        return None
    return Evidence(
        signal=Phrase("update over weights, largest of the looks"),
        value=float(ratio.max()),
        baseline=float(np.median(ratio)),
        threshold=OVERWRITTEN,
        witness="harm",
    )


def _above(found: Course) -> Evidence | None:
    """The loss ends well above that of knowing nothing."""
    start = max(found.begin, found.guess or 0.0)
    if len(found.windows) < 5 or found.latest < 1.5 * start + 4 * found.scatter:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of knowing nothing"),
        value=found.latest,
        baseline=start,
        threshold=1.5 * start,
        witness="harm",
        step=found.steps,
    )
