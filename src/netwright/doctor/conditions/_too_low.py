"""Steps so small that nothing moves: what speaks for a rate that is too low."""

from __future__ import annotations

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._clipped_away import clipped_away
from netwright.doctor.conditions._course import EARLY, course, hardly_falls, steps_of
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.doctor.conditions._rate import (
    FEW,
    STILL,
    Case,
    bad_start,
    groups,
    rate_gone,
    true_rho,
    warming,
)
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit
from netwright.records.findings import Evidence
from netwright.records.record import Record

SLOW = 2e-3
"""Update over weights up to which a run that still guesses may be slow, where a trial tells: in
some 60 steps one batch hardly falls at the rate that is set, and does at ten times of it."""


def too_low(record: Record) -> Case | None:
    """Steps so small that nothing moves, though each does what it promises."""
    if bad_start(record) or clipped_away(record) is not None:
        return None
    if too_much_regularised(record) is not None:
        return None
    steps, found = steps_of(record), course(record)
    if steps is None or found is None or found.steps < EARLY:
        return _too_low_before(record)
    if found.broken is not None or found.latest < 0.5 * found.ignorance or warming(steps):
        return None
    gone = rate_gone(steps)
    if gone is not None and gone[1] > 0.2:  # the last steps of a cosine are no reason
        return None
    rho, ratio = true_rho(steps), steps.update_ratio[np.isfinite(steps.update_ratio)]
    if len(rho) < FEW or not len(ratio):
        return None
    size, efficacy = float(np.median(ratio[len(ratio) // 2 :])), float(np.median(rho))
    eps = eps_too_large(record)
    # Differences of losses drown in rounding where steps are shorter than a millionth.
    lowest, highest = (0.8, 1.2) if size > 1e-6 else (0.2, 5.0)
    if not lowest <= efficacy <= highest or size == 0.0:
        return None
    more = _more_at_ten(record, most=0.02 if size <= STILL else 0.05)
    stands = any_of(hardly_falls(found), stuck(record)) or any_of(behind(record, found))
    shown = stuck(record) or size <= SLOW / 10
    slow = size <= SLOW and shown and more is not None and found.steps >= 3 * EARLY
    if size > STILL and eps is None and not slow:
        return None
    # Where nobody knows what guessing costs, the loss may be low already: a trial must tell.
    if not stands or (found.guess is None and more is None):
        return None
    harms = any_of(*stands, more)
    causes = any_of(
        eps,
        Evidence(
            signal=Phrase("update over weights, median of the looks"),
            value=size,
            baseline=1e-3,
            threshold=STILL if size <= STILL else SLOW,
            step=found.steps,
        ),
        Evidence(
            signal=Phrase("actual over promised fall of the loss: 1 where a step is too small to "
                          "meet any curvature"),
            value=efficacy,
            baseline=0.5,
        ),
    )  # fmt: skip
    return Case(causes, harms, "eps" if eps is not None else "rate")


def eps_too_large(record: Record) -> Evidence | None:
    """Adam's eps against the size of a gradient: far above it, the division does nothing."""
    eps = max(
        (g.eps for g in groups(record) if g.eps is not None and g.beta2 is not None), default=None
    )
    steps, numel = steps_of(record), sum(g.numel for g in groups(record))
    if eps is None or steps is None or not numel:
        return None
    norms = steps.grad_norm[np.isfinite(steps.grad_norm)]
    if not len(norms) or norms[0] <= 0:
        return None
    # The largest of the looks: a run that is done has small gradients, and no fault.
    size = float(norms.max()) / numel**0.5
    if eps < 10 * size:
        return None
    return Evidence(
        signal=Phrase("eps of the optimizer, against the size of a gradient's entries"),
        value=eps,
        baseline=size,
        threshold=10 * size,
    )


def _more_at_ten(record: Record, most: float = 0.02) -> Evidence | None:
    """At ten times the rate the same batch falls five times as far, at the rate by `most`; or it
    comes past guessing at ten times the rate alone."""
    fit = record.get(Fit)
    one, ten = (fit.at(1.0), fit.at(10.0)) if fit is not None else (None, None)
    if one is None or ten is None or one.end != one.end or ten.end != ten.end:
        return None
    falls = [(each.start - each.end) / max(abs(each.start), 1e-30) for each in (one, ten)]
    guess = fit.constant if fit is not None else None
    past = bool(guess and one.end > 0.98 * guess and ten.end < 0.9 * guess and falls[0] < 0.1)
    if not past and (falls[0] > most or falls[1] < 5 * max(falls[0], 1e-9)):
        return None
    return Evidence(
        signal=Phrase("relative fall of one batch in {steps} steps, against ten times the rate",
                      steps=one.steps),
        value=max(0.0, falls[0]),
        baseline=falls[1],
        unit="share",
        witness="harm",
    )  # fmt: skip


def _too_low_before(record: Record) -> Case | None:
    """Before the first steps: nothing moves in the trial, at ten times the rate neither or so."""
    more = _more_at_ten(record)
    if more is None or more.value > 1e-3:
        return None
    bend = record.get(Curvature)
    cause = (
        Evidence(
            signal=Phrase("rate x top curvature of the first batch"),
            value=bend.product,
            baseline=1.0,
            threshold=1e-4,
        )
        if bend is not None and not bend.preconditioned and bend.product < 1e-4
        else None
    )
    fit = record.get(Fit)
    one = fit.at(1.0) if fit is not None else None
    assert one is not None
    fall = Evidence(
        signal=Phrase("relative fall of one batch in {steps} steps", steps=one.steps),
        value=more.value,
        threshold=1e-3,
        unit="share",
    )
    return Case(any_of(cause, fall), (more,), "rate")
