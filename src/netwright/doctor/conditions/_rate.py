"""What speaks for a rate that is too high, too low, cut off by clipping: one story a run.

The conditions of the rate ask here whether a deeper one of them holds, and are silent then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import (
    EARLY,
    Array,
    Course,
    broken,
    course,
    halted,
    hardly_falls,
    risen,
    steps_of,
    swings,
    unlearned,
)
from netwright.doctor.conditions._harm import (
    LONG,
    LOOKS,
    any_of,
    fitted,
    nonfinite,
    stuck,
    unfit,
)
from netwright.doctor.conditions._roots import PROVED
from netwright.doctor.conditions._scale import growing, shrinking
from netwright.doctor.conditions._start import harm_of_start, judgement
from netwright.doctor.conditions._trials import end_of, fits, fits_somewhere, unfit_as_set
from netwright.records.facts.curvature import Curvature
from netwright.records.facts.fit import Fit
from netwright.records.facts.loop import Loop
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.setup import GroupFact, Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence
from netwright.records.initial_state import Verdict
from netwright.records.record import Record

DEEPER = PROVED
"""What may lie behind a rate that does not work: data, loss, wiring and start come first."""

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

STILL = 2e-5
"""Update over weights, median: at the rates 1e-6 to 1e-4 of plain SGD that do not train, 1e-8 to
7e-6 was measured; at those that do, 3e-5 and more, but for runs that were done."""

SLOW = 2e-3
"""Update over weights up to which a run that still guesses may be slow, where a trial tells: in
some 60 steps one batch hardly falls at the rate that is set, and does at ten times of it."""

FEW = 3
"""Looks that do for steps that are too short: each of them says the same."""

SINGULAR = {"log", "log2", "log10", "div", "truediv", "true_divide", "divide", "sqrt", "rsqrt",
            "reciprocal", "pow", "norm"}  # fmt: skip
"""Operations that have no value, or no slope, at 0."""

ASIDE = 0.5
"""Of the length of a step: what else moves the weights, if that is as much."""

SHRINKING = 0.2
"""The same of what shrinks them: steps a fifth of the weights long, that lead nowhere, are held in
balance by a tenth."""

INWARD = -0.7
"""Cosine between what is done to the weights and the weights themselves: it shrinks them."""

GONE = 0.01
"""Share of its peak below which a rate is as good as 0."""


@dataclass(frozen=True)
class Case:
    """What speaks for a finding: evidence of the cause first, then of the harm."""

    causes: tuple[Evidence, ...]
    harms: tuple[Evidence, ...]
    factor: str = ""


# Facts in handy form


def true_rho(steps: Steps) -> Array:
    """Step efficacy against the whole gradient: what was clipped promises more than it says."""
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = np.where(steps.raw_grad_norm > 0, steps.grad_norm / steps.raw_grad_norm, 1.0)
    cut = np.where(np.isfinite(cut), np.minimum(cut, 1.0), 1.0)
    rho: Array = steps.rho * cut
    return rho[np.isfinite(rho)]


def groups(record: Record) -> tuple[GroupFact, ...]:
    setup = record.get(Setup)
    return () if setup is None else tuple(g for o in setup.optimizers for g in o.groups)


def warming(steps: Steps) -> bool:
    """Whether the rate is on its way up."""
    lr = steps.lr[np.isfinite(steps.lr)]
    if len(lr) < 2:
        return False
    before = lr[max(0, len(lr) - 1 - max(5, len(lr) // 5))]
    return bool(lr[-1] > 1.02 * before and lr[-1] >= 0.98 * lr.max())


def bad_start(record: Record) -> bool:
    """Whether the state at the start explains what goes wrong."""
    bad: tuple[Verdict, ...] = ("alike", "dead", "saturated", "growing", "shrinking")
    if any(judgement(record, each) for each in bad):
        return bool(harm_of_start(record))
    return bool((growing(record) or shrinking(record)) and harm_of_start(record))


def moved_aside(record: Record) -> bool:
    """Whether somebody else moves the weights between the steps, as far as these do or farther:
    then no rate explains what becomes of them."""
    loop = record.get(Loop)
    if loop is None or loop.kept_looks < FEW:
        return False
    return loop.aside >= ASIDE or (loop.aside >= SHRINKING and loop.aside_along < INWARD)


def unclipped(record: Record) -> bool:
    """Whether the loop leaves the gradients as they are, as far as was seen: the trials of the
    check-up do not clip."""
    loop, steps = record.get(Loop), steps_of(record)
    if loop is not None and loop.clip_calls:
        return False
    return steps is None or clipped_share(steps)[0] < 0.1


def clipped_share(steps: Steps) -> tuple[float, float]:
    """The share of looks at which the gradient was made shorter, and by how much in the median."""
    both = np.isfinite(steps.grad_norm) & np.isfinite(steps.raw_grad_norm) & (steps.grad_norm > 0)
    if not both.any():
        return 0.0, 1.0
    ratio = steps.raw_grad_norm[both] / steps.grad_norm[both]
    cut = ratio > 1.01
    return float(cut.mean()), float(np.median(ratio[cut])) if cut.any() else 1.0


# The cases


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


def _singular(record: Record) -> bool:
    """Whether what broke is an operation at the very point where it has no value, and a tenth of
    the rate breaks as well: it is the operation that wants a bound."""
    found, fit = record.get(NonFinite), record.get(Fit)
    tenth = fit.at(0.1) if fit is not None else None
    if found is None or tenth is None or tenth.end == tenth.end:
        return False
    return found.replayed and found.operation in SINGULAR and found.before == 0


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


def too_much_regularised(record: Record) -> Case | None:
    """The batch is fitted only without dropout and decay."""
    fit = record.get(Fit)
    free = fit.variants.get("free") if fit is not None else None
    cannot = unfit(record)
    if fit is None or free is None or cannot is None or not fitted(free, fit) or bad_start(record):
        return None
    found = course(record)
    learned = found is not None and found.steps >= LONG and found.learned
    if found is not None and learned and behind(record, found) is None:
        return None
    one = fit.at(1.0)
    assert one is not None
    cause = Evidence(
        signal=Phrase(
            "loss of one batch after {steps} steps at the rate, against that without dropout and "
            "decay",
            steps=one.steps,
        ),
        value=end_of(one),
        baseline=free.end,
    )
    return Case((cause,), any_of(cannot, stuck(record)))


def clipped_away(record: Record) -> Case | None:
    """Clipping that leaves a hundredth of the gradient at every step, in a run that stands."""
    steps, found = steps_of(record), course(record)
    if steps is None or found is None or found.steps < EARLY or bad_start(record):
        return None
    share, ratio = clipped_share(steps)
    if share <= 0.9 or ratio < 20:
        return None
    fit = record.get(Fit)
    trial = fit.at(1.0) if fit is not None else None
    unlike = None
    if trial is not None and fits(record, 1.0) and found.latest > 0.9 * found.reference:
        unlike = Evidence(
            signal=Phrase("loss of one batch after {steps} steps without clipping, against that "
                          "of the run now", steps=trial.steps),
            value=found.latest,
            baseline=trial.end,
            witness="harm",
            step=found.steps,
        )  # fmt: skip
    harms = any_of(stuck(record), hardly_falls(found), unlike, behind(record, found))
    if not harms:
        return None
    loop = record.get(Loop)
    limit = loop.clip_limit if loop is not None else None
    causes = (
        Evidence(
            signal=Phrase("share of looks at which the gradient was clipped"),
            value=share,
            threshold=0.9,
            unit="share",
        ),
        Evidence(
            signal=Phrase("length of the gradient before clipping, over that after"),
            value=ratio,
            baseline=1.0,
            threshold=20,
            unit="times",
        ),
        *(
            [Evidence(signal=Phrase("limit of the clipping"), value=limit)]
            if limit is not None
            else []
        ),
    )
    return Case(causes, harms)


def rate_gone(steps: Steps) -> tuple[int, float] | None:
    """Since which step the rate is under 1 % of its peak, and for what share of the steps."""
    lr = steps.lr
    if len(lr) < 2 or not np.isfinite(lr).all() or lr.max() <= 0:
        return None
    alive = np.flatnonzero(lr >= GONE * lr.max())
    if alive[-1] == len(lr) - 1:
        return None
    since = int(steps.step[alive[-1] + 1])
    return since, (steps.total - since + 1) / max(1, steps.total)


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


# Their parts


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


def _in_the_data(record: Record) -> bool:
    """Whether the first value that is not finite came with a batch: no rate would have helped."""
    first = record.get(NonFinite)
    return first is not None and first.where in ("input", "target")


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
