"""Rates that never come to what was set, and rates that come up again at the end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions._course import Course, unlearned
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

NEVER = 0.05
"""Of the rate that the optimizer was given: a schedule that stays below never lets it act."""

FOOT = 0.2
"""Of the peak: down there a schedule has brought the loss to rest."""

TOP = 0.9
"""Of the peak: a run that ends there ends with the longest steps it has."""

LITTLE = 0.02
"""Of the loss of knowing nothing: a loss below is done, wherever it was before."""

HIGHER = 1.5
"""Times the loss at the foot."""


def off_the_rate(record: Record, steps: Steps, found: Course) -> Iterator[Finding]:
    """What a plan that was seen to its end did to the rate that was set."""
    loop = record.get(Loop)
    if loop is None or not loop.ended or found.broken is not None:
        return
    yield from _never(record, steps, found)
    yield from _up_again(record, steps, found)


def _never(record: Record, steps: Steps, found: Course) -> Iterator[Finding]:
    setup = record.get(Setup)
    groups = [each for one in (setup.optimizers if setup else ()) for each in one.groups]
    meant = max((each.meant for each in groups if each.meant), default=None)
    lr = steps.lr[np.isfinite(steps.lr)]
    if meant is None or not len(lr) or not 0 < float(lr.max()) < NEVER * meant:
        return
    harm = unlearned(record, found)
    if harm is None:
        return
    yield Finding(
        name="scheduler-misuse",
        severity="warn",
        what=Phrase("The rate never came above {highest:.3g}, of {meant:.3g} that was set",
                    highest=float(lr.max()), meant=meant),
        evidence=(
            Evidence(
                signal=Phrase("largest rate that was reached, against that which was set"),
                value=float(lr.max()),
                baseline=meant,
                threshold=NEVER * meant,
            ),
            harm,
        ),
        formula="LambdaLR: rate = rate that was set x factor",
        cause=Phrase("What the schedule multiplies the rate with is far below 1 all along: a rate "
                     "given for a factor, or a warm-up that never ends."),
        confidence=0.85,
        wrong_if=Phrase("the rate that was set is not the one that was meant"),
        treatments=(
            Treatment(
                name="factor-and-not-rate",
                grade="ask",
                why=Phrase("Let the function of the schedule return a factor of the rate, 1 at its "
                           "peak."),
            ),
        ),
    )  # fmt: skip


def _up_again(record: Record, steps: Steps, found: Course) -> Iterator[Finding]:
    kept = np.isfinite(steps.loss) & np.isfinite(steps.lr)
    lr, at = steps.lr[kept], steps.step[kept]
    if len(lr) < 24 or lr[-1] < TOP * lr.max() or lr.min() > FOOT * lr.max():
        return
    best = int(found.windows.argmin())
    begin = float(found.ends[best - 1]) if best else 0.0
    there = lr[(at > begin) & (at <= found.ends[best])]
    foot, end = found.least, float(found.windows[-2:].mean())
    higher = max(HIGHER * foot, foot + 4 * found.scatter, LITTLE * found.ignorance)
    lowest = int(at[int(lr.argmin())])
    harm = []
    if len(there) and there.mean() < FOOT * lr.max() and end > higher:
        lowest = int(found.ends[best])
        harm = [
            Evidence(
                signal=Phrase("loss of the last steps, against the least, at a lower rate"),
                value=end,
                baseline=foot,
                threshold=higher,
                witness="harm",
                step=found.steps,
            )
        ]
    elif lr[: int(lr.argmin()) + 1].max() > TOP * lr.max():  # no warm-up that begins at the foot
        harm = _validated(record, lowest, LITTLE * found.ignorance)
    if not harm:
        return
    yield Finding(
        name="scheduler-misuse",
        severity="warn",
        step=lowest,
        what=Phrase("The rate has risen since step {step}, and the run ended at its peak",
                    step=lowest),
        evidence=(
            Evidence(
                signal=Phrase("rate of the last step, over the largest"),
                value=float(lr[-1] / lr.max()),
                baseline=float(lr.min() / lr.max()),
                threshold=TOP,
                unit="share",
            ),
            *harm,
        ),
        cause=Phrase("The period of the schedule does not fit the run: it ends where the rate is "
                     "on its way up, or back."),
        confidence=0.85,
        wrong_if=Phrase("the weights that are kept are those of the lowest rate"),
        treatments=(
            Treatment(
                name="end-at-the-foot",
                grade="ask",
                why=Phrase("Give the schedule the number of all steps, so that it ends at its "
                           "lowest rate."),
            ),
        ),
    )  # fmt: skip


def _validated(record: Record, lowest: int, done: float) -> list[Evidence]:
    """The validation loss at the end, against its least one round the lowest rate."""
    told = record.get(Epochs)
    seen = [each for each in (told.epochs if told else ()) if each.val_loss is not None]
    if len(seen) < 4:
        return []
    near = sorted(seen, key=lambda each: abs(each.step - lowest))[:2]
    least = min(near, key=lambda each: each.val_loss or 0.0)
    last = seen[-1]
    error = max(least.val_loss_error or 0.0, last.val_loss_error or 0.0)
    now, then = last.val_loss or 0.0, least.val_loss or 0.0
    if now < max(HIGHER * then, then + 3 * error, done):
        return []
    return [
        Evidence(
            signal=Phrase("validation loss at the end, against that at the lowest rate"),
            value=now,
            baseline=then,
            threshold=HIGHER * then,
            witness="harm",
            step=last.step,
        )
    ]
