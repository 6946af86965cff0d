"""What the conditions of the start share: the layers that learn, and the harm of a bad start."""

from __future__ import annotations

from netwright.doctor.conditions._capacity import far_from_done, outdone
from netwright.doctor.conditions._harm import any_of, nonfinite, stuck, unfit
from netwright.doctor.conditions._trials import unfit_as_set
from netwright.records.facts.start import WeightScales
from netwright.records.findings import Evidence
from netwright.records.initial_state import InitialState, Judgement, Verdict
from netwright.records.record import Record


def judgement(record: Record, verdict: Verdict) -> Judgement | None:
    """The judgement of that kind on the state at the start, over layers that are trained."""
    state = record.get(InitialState)
    if state is None:
        return None
    frozen = not_trained(record)
    for each in state.judgements:
        if each.verdict == verdict and (not each.layers or not frozen.issuperset(each.layers)):
            return each
    return None


def not_trained(record: Record) -> set[str]:
    """Layers that no optimizer holds: a frozen backbone may be what it likes."""
    scales = record.get(WeightScales)
    return set() if scales is None else {each.layer for each in scales.layers if not each.held}


def harm_of_start(record: Record) -> tuple[Evidence, ...]:
    """The batch cannot be fitted, at any rate or at the one that is set, or the run is stuck; or a
    plain network fits the batch, and the run does not come half of the way."""
    harm = any_of(unfit(record) or unfit_as_set(record), stuck(record), nonfinite(record))
    return harm or (any_of(far_from_done(record)) if outdone(record) is not None else ())
