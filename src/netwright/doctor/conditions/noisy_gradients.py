"""Each step helps its own batch, and the loss of all does not fall."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import Course, course, steps_of
from netwright.doctor.conditions._harm import LONG, LOOKS, any_of, stuck
from netwright.doctor.conditions._rate import true_rho
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.records.facts.noise import GradientNoise
from netwright.records.facts.objective import Objective
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SMALL = 16
"""Batches up to this size are the ones whose noise a larger batch mends cheaply."""


@CONDITIONS.register(
    "noisy-gradients",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=("learning-rate-too-high", "label-noise", "labels-inconsistent"),
)
def noisy_gradients(record: Record) -> Iterator[Finding]:
    """Each step lowers the loss of its own batch, and the loss of the run does not fall.

    Why it hurts: what one small batch asks for the next one undoes; the steps go to and fro.

    Evidence: actual over promised fall above a half in the median, so that no step is too long for
    its own batch; a loss that fell by under 2 % over the later half, or is above its beginning; a
    batch of at most 16, with its noise scale where one batch could be divided. A warning where the
    loss stays at guessing, or is no lower than at the beginning after 300 steps; else a note.

    Would be wrong if: batches four times as large do no better.

    Not to be confused with: a rate that is too high, where steps fail on their own batch; targets
    that cannot be learned, which look the same at any batch.

    Treatment: larger batches, accumulation, a lower rate; ask.

    Source: McCandlish et al. 2018, An empirical model of large-batch training.
    """
    found, steps, setup = course(record), steps_of(record), record.get(Setup)
    batch = setup.batch if setup is not None else None
    if found is None or steps is None or not batch or batch > SMALL:
        return
    if found.steps < LONG or found.done or found.broken is not None or len(found.windows) < 8:
        return
    if too_high(record) or too_low(record):
        return
    rho = true_rho(steps)
    if len(rho) < LOOKS or float(np.median(rho)) < 0.5:
        return
    half = len(found.windows) // 2
    early, late = float(found.windows[half - half // 2 : half].mean()), found.windows[half:]
    fall = (early - float(late.mean())) / max(early, 1e-30)
    if fall > 0.02 and found.latest < max(found.begin, found.guess or 0.0):
        return
    noise, harm = record.get(GradientNoise), any_of(stuck(record), _lost(record, found))
    yield Finding(
        name="noisy-gradients",
        severity="warn" if harm else "note",
        what=Phrase("Steps help their own batch of {count}, and the loss of the run does not fall",
                    count=batch),
        evidence=(
            Evidence(
                signal=Phrase("actual over promised fall of the loss, median of the looks"),
                value=float(np.median(rho)),
                baseline=0.5,
            ),
            Evidence(
                signal=Phrase("relative fall of the loss over the later half"),
                value=fall,
                threshold=0.02,
                unit="share",
            ),
            *(
                [Evidence(signal=Phrase("noise scale of the gradient, in samples"),
                          value=noise.scale, baseline=batch)]
                if noise is not None and noise.scale < float("inf")
                else []
            ),
            *harm,
        ),
        formula="noise scale = tr(Sigma) / |G|^2",
        cause=Phrase("The gradient of so small a batch is mostly chance."),
        confidence=0.5,
        wrong_if=Phrase("batches four times as large do no better"),
        treatments=(
            Treatment(
                name="larger-batch",
                grade="ask",
                why=Phrase("Take larger batches or accumulate, or lower the rate."),
            ),
            Treatment(
                name="average-weights",
                grade="ask",
                why=Phrase("Answer by the mean of the weights over the last steps."),
            ),
        ),
    )  # fmt: skip


def _lost(record: Record, found: Course) -> Evidence | None:
    """The harm that the loss is no lower than at the beginning: a batch of one has no constant to
    be held against. Only where the loss is one of torch's own, which are meant to fall."""
    objective = record.get(Objective)
    if objective is None or objective.kind == "unknown" or found.latest < found.begin:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against the first"),
        value=found.latest,
        baseline=found.begin,
        threshold=found.begin,
        witness="harm",
        step=found.steps,
    )
