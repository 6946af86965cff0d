"""What speaks for dropout and decay that keep a batch from being fitted."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._behind import behind
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import LONG, any_of, fitted, stuck, unfit
from netwright.doctor.conditions._rate import Case, bad_start
from netwright.doctor.conditions._trials import end_of
from netwright.records.facts.fit import Fit
from netwright.records.findings import Evidence
from netwright.records.record import Record


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
