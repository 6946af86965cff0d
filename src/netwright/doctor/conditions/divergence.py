"""The loss climbs, and does not come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, Course, course
from netwright.doctor.conditions._rate import DEEPER, bad_start, too_high, too_much_regularised
from netwright.records.facts.steps import Steps
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

BEYOND = 1.5
"""How far above its beginning a loss has left it."""


@CONDITIONS.register(
    "divergence",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="stop",
    yields_to=(*DEEPER, "learning-rate-too-high", "over-regularised", "loss-spike", "nonfinite"),
)
def divergence(record: Record) -> Iterator[Finding]:
    """The loss climbs over many steps, beyond where it began or to where it is no number.

    Why it hurts: what was learned is lost, and nothing brings it back.

    Evidence: of the cause, the share of windows of the loss that lie above the one before, since
    its least value, or the place where it broke; of the harm, the loss now against the first and
    the least one. Silent where the rate is shown to be the cause: then that is the story.

    Would be wrong if: the loss is meant to grow (a penalty that is raised, harder samples).

    Not to be confused with: a spike that comes back; the small climb when a cyclic rate rises.

    Treatment: go back to the last good state, with a lower rate or clipping; ask.
    """
    found, steps = course(record), record.get(Steps)
    if found is None or steps is None or too_high(record) is not None:
        return
    if bad_start(record) or too_much_regularised(record) is not None:
        return
    if found.steps < EARLY and found.broken is None:
        return
    evidence = _broken(found, steps) if found.broken is not None else _climbed(found)
    if not evidence:
        return
    yield Finding(
        name="divergence",
        severity="stop",
        step=evidence[0].step,
        what=Phrase("The loss climbs and does not come back"),
        evidence=evidence,
        cause=Phrase("The steps lead uphill: their length outgrew the valley they are in."),
        confidence=0.8,
        wrong_if=Phrase("the loss is meant to grow, by a penalty or by harder samples"),
        treatments=(
            Treatment(
                name="roll-back",
                grade="ask",
                why=Phrase("Go on from the last good state with a lower rate or with clipping."),
            ),
        ),
    )


def _broken(found: Course, steps: Steps) -> tuple[Evidence, ...]:
    finite = steps.loss[np.isfinite(steps.loss)]
    rates = steps.lr[np.isfinite(steps.lr)]
    if len(finite) < 3 or finite[-1] < BEYOND * found.least:
        return ()  # it broke out of the blue: another cause
    return (
        Evidence(
            signal=Phrase("last finite loss, against the least window before it"),
            value=float(finite[-1]),
            baseline=found.least,
            step=found.broken,
        ),
        *(
            [Evidence(signal=Phrase("rate at the end, against the first one"),
                      value=float(rates[-1]), baseline=float(rates[0]))]
            if len(rates)
            else []
        ),
        Evidence(
            signal=Phrase("step from which on the loss is not finite"),
            value=found.broken or 0,
            witness="harm",
            step=found.broken,
        ),
    )  # fmt: skip


def _climbed(found: Course) -> tuple[Evidence, ...]:
    if len(found.windows) < 5 or found.latest < BEYOND * max(found.begin, found.guess or 0.0):
        return ()
    least = int(found.windows.argmin())
    since = found.windows[least:]
    if len(since) < 3:
        return ()
    return (
        Evidence(
            signal=Phrase("windows of the loss that lie above the one before, since the least"),
            value=float(np.mean(np.diff(since) > 0)),
            baseline=0.5,
            unit="share",
            step=int(found.ends[least]),
        ),
        Evidence(
            signal=Phrase("loss of the last steps, against the first"),
            value=found.latest,
            baseline=found.begin,
            threshold=BEYOND * found.begin,
            witness="harm",
            step=found.steps,
        ),
    )
