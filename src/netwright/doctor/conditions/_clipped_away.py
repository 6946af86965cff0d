"""What speaks for clipping that leaves next to nothing of the gradient."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import EARLY, course, hardly_falls, steps_of
from netwright.doctor.conditions._harm import any_of, stuck
from netwright.doctor.conditions._rate import Case, bad_start, clipped_share
from netwright.doctor.conditions._trials import fits
from netwright.records.facts.fit import Fit
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence
from netwright.records.record import Record


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
