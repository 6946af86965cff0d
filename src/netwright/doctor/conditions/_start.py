"""What the conditions of the start share: the layers that learn, and the harm of a bad start."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._capacity import far_behind, far_from_done
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import any_of, nonfinite, stuck, unfit
from netwright.doctor.conditions._trials import unfit_as_set
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.redrawn import Redrawn
from netwright.records.facts.start import WeightScales
from netwright.records.findings import Evidence
from netwright.records.initial_state import InitialState, Judgement, Verdict
from netwright.records.record import Record

WORSE = 1.5
"""Times the loss of the same steps from weights drawn anew, on samples nobody learned from."""

LEFT = 0.1
"""Share of the loss of guessing under which a start has cost nothing."""

BEHIND = 1.2
"""The same for a run that has gone on for longer than those steps."""


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
    return harm or any_of(far_from_done(record) or far_behind(record) or overtaken(record))


def overtaken(record: Record) -> Evidence | None:
    """The same steps from weights drawn anew come further on samples that nobody learned from; and
    the run, once it has gone on for longer, has not caught up."""
    fact = record.get(Redrawn)
    if fact is None or not fact.redrawn:
        return None
    other = max(fact.redrawn)  # not finite: a fresh start does not help
    if not other < fact.as_is / WORSE or fact.as_is < LEFT * (fact.guess or 0.0):
        return None
    found, epochs = course(record), record.get(Epochs)
    if found is not None and found.steps > fact.steps:
        told = [e.val_loss for e in epochs.epochs if e.val_loss is not None] if epochs else []
        if min(told, default=found.latest) < BEHIND * other:
            return None
    return Evidence(
        signal=Phrase(
            "loss on {samples} other samples after {steps} steps from these weights, against that "
            "from weights drawn anew",
            samples=fact.samples,
            steps=fact.steps,
        ),
        value=fact.as_is,
        baseline=other,
        threshold=WORSE * other,
        witness="harm",
    )
