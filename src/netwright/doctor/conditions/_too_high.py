"""Steps that leap over the valley: what speaks for a rate that is too high."""

from __future__ import annotations

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import (
    EARLY,
    Course,
    broken,
    course,
    halted,
    risen,
    steps_of,
    swings,
    unlearned,
)
from netwright.doctor.conditions._harm import LOOKS, any_of, nonfinite, stuck
from netwright.doctor.conditions._rate import (
    GONE,
    Case,
    bad_start,
    moved_aside,
    true_rho,
    unclipped,
)
from netwright.doctor.conditions._too_much_regularised import too_much_regularised
from netwright.doctor.conditions._trials import end_of, fits, fits_somewhere, unfit_as_set
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence
from netwright.records.record import Record

BACKWARD = 0.4
"""Share of looks that made their own batch worse. Measured over the healthy runs of
tests/doctor/rates/test_healthy_rates.py: 0 to 0.07; of a GAN's discriminator 0.40."""

FUTILE = 0.1
"""Actual over promised fall, median: 0.5 is the best step on a quadratic. Healthy runs that were
not done: 0.26 (a discriminator) and 0.7 to 1; Adam at 0.3 in a GRU that climbed: 0.01 to 0.06."""

LEAP = 0.05
"""Update over weights, at one step. Healthy first steps by Adam at 1e-3: 0.014; at 1e-2: 0.14, in
networks that settle at once; without harm this is no finding."""

RISING = 0.2
"""Share of the steps of a trial that raise the loss of the batch it fits: at a rate that suits, a
descent on one batch hardly ever turns."""

OVERWRITTEN = 0.5
"""Update over weights, at two looks, or twice as much at one: what they were is then lost."""

SINGULAR = {"log", "log2", "log10", "div", "truediv", "true_divide", "divide", "sqrt", "rsqrt",
            "reciprocal", "pow", "norm"}  # fmt: skip
"""Operations that have no value, or no slope, at 0."""


def too_high(record: Record) -> Case | None:
    """Steps that leap over the valley: the run breaks, stays at guessing, or climbs back."""
    if bad_start(record) or too_much_regularised(record) is not None or moved_aside(record):
        return None
    trial, bent = _trial_too_high(record), _bent(record)
    found = course(record)
    if found is None or (found.steps < EARLY and found.broken is None):
        if trial is None or not unclipped(record):
            return None
        return Case(any_of(bent, trial), any_of(unfit_as_set(record)))
    if found.broken is not None and (_in_the_data(record) or _singular(record)):
        return None
    steps = steps_of(record)
    assert steps is not None
    futile, sooner = _futile(steps), _sooner_at_a_tenth(record)
    back = any_of(risen(found))
    if not back and (futile is not None or sooner is not None):
        back = any_of(halted(found)) or (swings(found) if sooner is not None else ())
    thrown = any_of(
        _backward(steps), _explosion(steps, found), _overwritten(steps), _killed(steps, found)
    )
    if not back and (thrown or trial or sooner or futile):
        back = any_of(behind(record, found))
    if found.learned and not back:
        return None
    if not back and thrown and fits_somewhere(record):
        back = any_of(unlearned(record, found))
    causes = any_of(bent, trial, sooner, *thrown, futile, None if thrown else _leap(steps, found))
    harms = any_of(
        nonfinite(record) if found.broken is not None else None,
        broken(found),
        stuck(record),
        *back,
    )
    # A large first step alone is common in healthy runs; it needs the explosion beside it.
    causes = any_of(*causes, _runaway(steps, found))
    strong = any_of(bent, trial, sooner, *thrown, futile, _runaway(steps, found))
    return Case(causes, harms) if harms and strong else None


# Their parts


def _singular(record: Record) -> bool:
    """Whether what broke is an operation at the very point where it has no value, and a tenth of
    the rate breaks as well: it is the operation that wants a bound."""
    found, fit = record.get(NonFinite), record.get(Fit)
    tenth = fit.at(0.1) if fit is not None else None
    if found is None or tenth is None or tenth.end == tenth.end:
        return False
    return found.replayed and found.operation in SINGULAR and found.before == 0


def _in_the_data(record: Record) -> bool:
    """Whether the first value that is not finite came with a batch: no rate would have helped."""
    first = record.get(NonFinite)
    return first is not None and first.where in ("input", "target")


def _trial_too_high(record: Record) -> Evidence | None:
    """The batch is not fitted at the rate that is set, and is at a tenth of it."""
    fit = record.get(Fit)
    one, tenth = (fit.at(1.0), fit.at(0.1)) if fit is not None else (None, None)
    if one is None or tenth is None or fits(record, 1.0) is not False:
        return None
    breaks = one.end != one.end and tenth.end < 0.98 * tenth.start and tenth.rising < 0.1
    if not (fits(record, 0.1) or breaks):
        return None
    if one.end == one.end and one.end < 3 * max(tenth.end, 0.05 * tenth.start):
        return None
    return Evidence(
        signal=Phrase("loss of one batch after {steps} steps at the rate, against a tenth of it",
                      steps=one.steps),
        value=end_of(one),
        baseline=tenth.end,
    )  # fmt: skip


def _sooner_at_a_tenth(record: Record) -> Evidence | None:
    """The batch is fitted in a third of the steps at a tenth of the rate; at the rate that is set
    steps go up again and again."""
    fit = record.get(Fit)
    one, tenth = (fit.at(1.0), fit.at(0.1)) if fit is not None else (None, None)
    if one is None or tenth is None or one.end != one.end or one.rising < RISING:
        return None
    if not fits(record, 0.1) or one.steps < 3 * tenth.steps or one.end < 1.5 * tenth.end:
        return None
    return Evidence(
        signal=Phrase("steps on one batch alone at the rate, against those that fit it at a tenth "
                      "of it"),
        value=one.steps,
        baseline=tenth.steps,
        threshold=3 * tenth.steps,
    )  # fmt: skip


def _bent(record: Record) -> Evidence | None:
    bend = record.get(Curvature)
    if bend is None or bend.preconditioned or bend.rate * bend.least <= bend.limit:
        return None
    return Evidence(
        signal=Phrase("rate x top curvature of the first batch"),
        value=bend.rate * bend.least,
        baseline=1.0,
        threshold=bend.limit,
    )


def _backward(steps: Steps) -> Evidence | None:
    rho = true_rho(steps)
    if len(rho) < LOOKS or (worse := float(np.mean(rho < 0))) <= BACKWARD:
        return None
    return Evidence(
        signal=Phrase("looks at which the step raised the loss of its own batch"),
        value=worse,
        baseline=0.0,
        threshold=BACKWARD,
        unit="share",
    )


def _futile(steps: Steps) -> Evidence | None:
    """Half of the steps come to less than a tenth of what their gradient promised."""
    rho = true_rho(steps)
    if len(rho) < 8 or (middle := float(np.median(rho))) >= FUTILE:
        return None
    return Evidence(
        signal=Phrase("actual over promised fall of the loss, median of the looks"),
        value=middle,
        baseline=0.5,
        threshold=FUTILE,
    )


def _explosion(steps: Steps, found: Course) -> Evidence | None:
    """The loss leapt far above its beginning in the first steps, which were large."""
    first = steps.loss[steps.step <= EARLY]
    first = first[np.isfinite(first)]
    if len(first) < 5 or _leap(steps, found) is None:
        return None
    start = max(found.begin, found.guess or 0.0)
    smooth = np.sort(first)[-3:].min()  # three steps at least, not one odd batch
    late = steps.loss[steps.step > EARLY]
    late = late[np.isfinite(late)]
    usual = 0.0
    if len(late) >= 20:  # how far a batch may lie above the others by chance
        middle = float(np.median(late))
        usual = middle + 6 * 1.4826 * float(np.median(np.abs(late - middle)))
        usual = usual if middle < 1.5 * start else 0.0
    if smooth < max(1.5 * start, usual):
        return None
    return Evidence(
        signal=Phrase("largest loss of the first {steps} steps, against the first", steps=EARLY),
        value=float(first.max()),
        baseline=start,
        threshold=1.5 * start,
    )


def _runaway(steps: Steps, found: Course) -> Evidence | None:
    """Before it broke the loss grew from step to step, tenfold and more: no sudden log(0)."""
    finite = steps.loss[np.isfinite(steps.loss)]
    if found.broken is None or len(finite) < 5:
        return None
    if finite[-1] < 10 * found.least or int((finite[-6:] > 2 * found.least).sum()) < 3:
        return None
    return Evidence(
        signal=Phrase("last finite loss, against the least window before it"),
        value=float(finite[-1]),
        baseline=found.least,
        step=found.broken,
    )


def _overwritten(steps: Steps) -> Evidence | None:
    """A step was as long as the weights themselves, or two of them half as long."""
    ratio = steps.update_ratio[steps.step <= EARLY]
    ratio = np.sort(ratio[np.isfinite(ratio)])
    if len(ratio) < 2 or (ratio[-2] < OVERWRITTEN and ratio[-1] < 2 * OVERWRITTEN):
        return None
    return Evidence(
        signal=Phrase("update over weights, largest of the first steps"),
        value=float(ratio[-1]),
        baseline=1e-3,
        threshold=OVERWRITTEN,
    )


def _killed(steps: Steps, found: Course) -> Evidence | None:
    """After long first steps hardly a gradient is left, and the loss is no lower for it."""
    norms = steps.raw_grad_norm if np.isfinite(steps.raw_grad_norm).any() else steps.grad_norm
    first, late = norms[steps.step <= EARLY], norms[steps.step > EARLY / 2]
    first, late = first[np.isfinite(first)], late[np.isfinite(late)]
    if len(first) < 2 or len(late) < 3 or _leap(steps, found) is None:
        return None
    if found.latest < found.reference or float(late.max()) > GONE / 10 * float(first.max()):
        return None
    return Evidence(
        signal=Phrase("largest gradient after the first long steps, against that among them"),
        value=float(late.max()),
        baseline=float(first.max()),
        threshold=GONE / 10 * float(first.max()),
    )


def _leap(steps: Steps, found: Course) -> Evidence | None:
    ratio = steps.update_ratio[steps.step <= EARLY]
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio) or (worst := float(ratio.max())) < LEAP:
        return None
    return Evidence(
        signal=Phrase("update over weights, largest of the first steps"),
        value=worst,
        baseline=1e-3,
        threshold=LEAP,
    )
