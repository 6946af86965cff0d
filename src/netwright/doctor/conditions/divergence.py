"""The loss climbs, and does not come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, Course, course
from netwright.doctor.conditions._rate import DEEPER, bad_start, too_high, too_much_regularised
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
    yields_to=(*DEEPER, "learning-rate-too-high", "over-regularised", "nonfinite"),
)
def divergence(record: Record) -> Iterator[Finding]:
    """The loss climbs over many steps, beyond where it began.

    Why it hurts: what was learned is lost, and nothing brings it back.

    Evidence: of the cause, the share of windows of the loss that lie above the one before, since
    its least value; of the harm, the loss now against the first one. Silent where the
    rate is shown to be the cause: then that is the story.

    Would be wrong if: the loss is meant to grow (a penalty that is raised, harder samples).

    Not to be confused with: a spike that comes back; the small climb when a cyclic rate rises; a
    loss that breaks (`nonfinite`, `learning-rate-too-high`).

    Treatment: go back to the last good state, with a lower rate or clipping; ask.
    """
    found = course(record)
    if found is None or too_high(record) is not None:
        return
    if bad_start(record) or too_much_regularised(record) is not None:
        return
    if found.steps < EARLY or found.broken is not None:
        return
    evidence = _climbed(found)
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


def _climbed(found: Course) -> tuple[Evidence, ...]:
    if len(found.windows) < 5:
        return ()
    start = max(found.begin, found.guess or 0.0, float(found.windows[:2].max()))
    if found.latest < max(BEYOND * start, start + 5 * found.scatter):
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
            baseline=start,
            threshold=BEYOND * start,
            witness="harm",
            step=found.steps,
        ),
    )
