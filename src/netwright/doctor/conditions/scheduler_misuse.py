"""A schedule that takes the rate away long before the end, or raises it there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, Course, course, steps_of
from netwright.doctor.conditions._plan import off_the_rate
from netwright.doctor.conditions._rate import GONE, STILL, rate_gone
from netwright.records.facts.loop import Loop
from netwright.records.facts.schedule import Schedule
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

FOOT = 0.2
"""Of the peak: a rate that stayed below has not seen the schedule's own."""

BENT = 0.8
"""Step efficacy over which steps meet hardly any curvature."""

EARLIEST = 0.2
"""Share of the plan before which no schedule ends on purpose."""


@CONDITIONS.register(
    "scheduler-misuse",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
)
def scheduler_misuse(record: Record) -> Iterator[Finding]:
    """The schedule takes the rate away long before the training ends.

    Why it hurts: with a rate under 1 % of its peak the run is over, whatever steps follow. Mostly
    a schedule made for epochs is stepped after every batch.

    Evidence: as seen, the rate is under 1 % of its peak since before a fifth of the plan, or, with
    no plan known, for most of the steps so far; the harm is that the loss has hardly fallen since,
    far from being done. As simulated, where the loop steps the schedule after every batch: the
    steps at the peak that the whole plan comes to. Or the other way round: a schedule that would
    have passed its peak, had it been stepped with every batch, was stepped a few times and ended at
    its foot; the harm is that the loss is far from done while steps met hardly any curvature. Or
    the rate never came to a twentieth of the one the optimizer was given, all along a run that
    ended next to guessing; or the run ended at the peak of its rate, with the loss well above what
    it was at less than a fifth of it.

    Would be wrong if: the training was meant to go on at that rate.

    Not to be confused with: a warm-up, which begins near 0; a cosine or one-cycle schedule, which
    ends there; cycles, whose rate comes back.

    Treatment: step the schedule once an epoch, or give it the number of steps; ask.

    Source: the documentation of torch.optim.lr_scheduler, on chaining and on when to step.
    """
    steps, found = steps_of(record), course(record)
    if steps is not None and found is not None:
        yield from _at_the_foot(record, steps, found)
        yield from off_the_rate(record, steps, found)
    case = _seen(record, steps, found) if steps is not None and found is not None else None
    case = case or _simulated(record)
    if case is None:
        return
    since, evidence = case
    schedule = record.get(Schedule)
    yield Finding(
        name="scheduler-misuse",
        severity="warn",
        step=since,
        what=Phrase("The schedule takes the rate away at step {step}", step=since),
        evidence=evidence,
        formula="rate < 1 % of its peak before 20 % of the plan",
        cause=(
            Phrase("{kinds} is stepped too often, or made for fewer steps.",
                   kinds=", ".join(schedule.kinds))
            if schedule is not None
            else Phrase("The schedule is stepped too often, or made for fewer steps.")
        ),
        wrong_if=Phrase("the training was meant to go on at that rate"),
        not_to_be_confused_with=Phrase("a schedule that ends near 0 at the end of the training"),
        treatments=(
            Treatment(
                name="step-once-an-epoch",
                grade="ask",
                why=Phrase("Step the schedule once an epoch, or give it the number of all steps."),
                code="scheduler.step()  # after the loop over the batches, once an epoch",
            ),
        ),
    )  # fmt: skip


def _at_the_foot(record: Record, steps: Steps, found: Course) -> Iterator[Finding]:
    """A schedule made for steps, and stepped once an epoch: its warm-up is never over."""
    schedule, loop = record.get(Schedule), record.get(Loop)
    if schedule is None or loop is None or not loop.ended or schedule.peak <= 0:
        return
    peak, turned = int(schedule.rates.argmax()), loop.scheduler_steps
    if not turned or loop.steps < max(peak, 4 * turned, 2 * EARLY) or 2 * turned > peak:
        return
    share = float(schedule.rates[: turned + 1].max()) / schedule.peak
    if share > FOOT:
        return
    rho = steps.rho[np.isfinite(steps.rho)]
    harm = None
    if len(rho) >= 3 and float(np.median(rho)) > BENT and not found.done:
        harm = Evidence(
            signal=Phrase("actual over promised fall of the loss, median of the looks: steps were "
                          "too short to meet any curvature"),
            value=float(np.median(rho)),
            baseline=0.5,
            threshold=BENT,
            witness="harm",
        )  # fmt: skip
    yield Finding(
        name="scheduler-misuse",
        severity="warn" if harm else "note",
        what=Phrase("The schedule was stepped {turned} times in {steps} steps, and its peak lies "
                    "at {peak}", turned=turned, steps=loop.steps, peak=peak),
        evidence=(
            Evidence(
                signal=Phrase("largest rate that was reached, of the peak of the schedule"),
                value=share,
                baseline=1.0,
                threshold=FOOT,
                unit="share",
            ),
            *([harm] if harm else []),
        ),
        cause=Phrase("{kinds} is made for steps, and stepped once an epoch.",
                     kinds=", ".join(schedule.kinds)),
        wrong_if=Phrase("the training was stopped on purpose during its warm-up"),
        treatments=(
            Treatment(
                name="step-with-every-batch",
                grade="ask",
                why=Phrase("Step the schedule after every step of the optimizer."),
                code="scheduler.step()  # inside the loop over the batches",
            ),
        ),
    )  # fmt: skip


def _seen(record: Record, steps: Steps, found: Course) -> tuple[int, tuple[Evidence, ...]] | None:
    gone, setup = rate_gone(steps), record.get(Setup)
    if gone is None or found.steps < EARLY or found.broken is not None:
        return None
    since, share = gone
    if steps.lr[0] < GONE * float(steps.lr.max()) and since == int(steps.step[0]):
        return None  # on its way up
    plan = setup.planned_steps if setup is not None else None
    early = since < EARLIEST * plan if plan and plan >= steps.total else share > 0.5
    if not early or steps.total - since < 20:
        return None
    after = found.windows[found.ends > since]
    if len(after) < 2 or found.latest < 0.3 * found.reference:
        return None
    fall = (float(after[0]) - found.latest) / max(float(after[0]), 1e-30)
    ratio = steps.update_ratio[(steps.step > since) & np.isfinite(steps.update_ratio)]
    stands = len(ratio) >= 3 and float(np.median(ratio)) < STILL
    if fall > (0.1 if stands else 0.02):  # windows of few batches scatter by some percent
        return None
    return since, (
        Evidence(
            signal=Phrase("share of the steps so far with a rate under 1 % of its peak"),
            value=share,
            baseline=0.05,
            unit="share",
            step=since,
        ),
        Evidence(
            signal=Phrase("relative fall of the loss since then"),
            value=max(0.0, fall),
            threshold=0.02,
            unit="share",
            witness="harm",
        ),
        Evidence(
            signal=Phrase("loss of the last steps, against that of knowing nothing"),
            value=found.latest,
            baseline=found.reference,
            witness="harm",
        ),
    )


def _simulated(record: Record) -> tuple[int, tuple[Evidence, ...]] | None:
    """What the simulation says, where it is known how often the loop steps the schedule."""
    schedule, loop, setup = record.get(Schedule), record.get(Loop), record.get(Setup)
    if schedule is None or setup is None or not setup.planned_steps or schedule.peak <= 0:
        return None
    # A step of the schedule for a step of the optimizer: then its rates are those of the steps.
    if loop is None or loop.steps < 5 or loop.scheduler_steps < 0.8 * loop.steps:
        return None
    plan = setup.planned_steps
    rates = schedule.rates[:plan]
    alive = np.flatnonzero(rates >= GONE * schedule.peak)
    since = int(alive[-1]) + 1
    if since >= EARLIEST * plan or len(rates) < 0.9 * plan or plan - since < 20:
        return None
    steps = steps_of(record)
    if steps is not None and steps.total > since:
        return None  # then the run itself tells
    reach = float(rates.sum()) / schedule.peak
    return since, (
        Evidence(
            signal=Phrase("step from which on the rate is under 1 % of its peak, as simulated"),
            value=since,
            threshold=EARLIEST * plan,
            step=since,
        ),
        Evidence(
            signal=Phrase("steps at the peak rate that all steps of the plan come to"),
            value=reach,
            baseline=plan,
            witness="harm",
        ),
    )
