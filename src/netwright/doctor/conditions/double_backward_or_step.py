"""Two steps, or two backwards, on one batch."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, halted, risen
from netwright.doctor.conditions._harm import any_of, backward_steps, nonfinite, stuck
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# A loop that does it on every batch has half its steps so; a slip now and then is no loop.
_SHARE = 0.3
_LEAST = 3


@CONDITIONS.register(
    "double-backward-or-step",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
    yields_to=("gradients-never-cleared",),
)
def double_backward_or_step(record: Record) -> Iterator[Finding]:
    """Each batch is stepped on twice with one gradient, or its loss is taken back twice.

    Why it hurts: the rate that acts is twice the one that is set, and with momentum or Adam the
    second step goes on along a gradient that was true before the first.

    Evidence: steps with the very gradients of the step before, untouched since; backwards on the
    very loss of the one before, or on one equal to the last bit: what they add is the same gradient
    once more, so that each step is so many times as long as was set. Two steps are a warning where
    the run is at guessing, stands still far from done, or has lost what it had reached; else a
    note.

    Would be wrong if: it is meant, as a way of taking larger steps.

    Not to be confused with: several backwards on parts of a loss; a second optimizer that steps
    after the same backward; optimizers that call a closure several times.

    Treatment: one backward and one step to a batch; code.

    Source: Smith 2025, TrainCheck (OSDI).
    """
    loop = record.get(Loop)
    if loop is None:
        return
    steps = loop.steps_without_backward
    backwards = loop.double_backwards
    heard = loop.heard or loop.steps
    of_steps = steps / heard if heard and steps >= _LEAST else 0.0
    told = loop.backwards_heard or loop.backwards
    of_backwards = backwards / told if told and backwards >= _LEAST else 0.0
    if max(of_steps, of_backwards) < _SHARE:
        return
    second = of_steps >= of_backwards
    found = course(record)
    lost = risen(found) or halted(found) if found is not None else None
    longer = None
    kept = loop.cleared_backwards <= _SHARE * loop.told_backwards
    if not second and kept and loop.backwards > backwards:
        longer = Evidence(
            signal=Phrase("times the gradient that is stepped on is that of its loss"),
            value=loop.backwards / (loop.backwards - backwards),
            baseline=1.0,
            threshold=1 / (1 - _SHARE),
            unit="times",
            witness="harm",
        )
    harm = any_of(nonfinite(record), backward_steps(record), stuck(record), lost, longer)
    yield Finding(
        name="double-backward-or-step",
        severity="warn" if harm else "note",
        what=Phrase("{count} of {all} steps repeat the gradient of the step before",
                    count=steps, all=heard)
        if second
        else Phrase("{count} of {all} backwards repeat the loss of the one before",
                    count=backwards, all=told),
        evidence=(
            Evidence(
                signal=Phrase("steps without a backward since the one before")
                if second
                else Phrase("backwards on the very loss of the one before"),
                value=max(of_steps, of_backwards),
                baseline=0.0,
                threshold=_SHARE,
                unit="share",
            ),
            *harm,
        ),
        formula="two steps of rate r along one gradient: a step of rate 2 r",
        cause=Phrase("The loop calls step twice to one backward.")
        if second
        else Phrase("The loop calls backward twice on one loss, with retain_graph."),
        wrong_if=Phrase("it is done on purpose"),
        treatments=(
            Treatment(
                name="once",
                grade="advice",
                why=Phrase("One backward and one step to a batch; for more, raise the rate."),
            ),
        ),
    )  # fmt: skip
