"""Old gradients are added to new ones."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import any_of, backward_steps, nonfinite, stuck
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Once or twice may be a warm-up or a batch that was left out; a loop that forgets does so always.
_ALWAYS = 0.9
_STEPS = 3
_MANY = 20
# Cleared every few steps: the half of an accumulation. What is left over must outweigh the rest.
_OFTEN = 0.5
# Norm of what is left over against the fresh gradient: below a tenth it turns no step round.
_MUCH = 0.1


@CONDITIONS.register(
    "gradients-never-cleared",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="stop",
)
def gradients_never_cleared(record: Record) -> Iterator[Finding]:
    """Gradients are never cleared: each step repeats all the steps before it.

    Why it hurts: the step is taken along the sum of all gradients since the beginning. It grows
    from step to step, overshoots, and cannot turn round.

    Evidence: backwards that begin with a gradient in place although the optimizer stepped since
    the last one, and the norm of what was left over against that of the fresh gradient. Always, or
    at more than half of the steps where what is left over outweighs what is fresh: then they are
    cleared every few steps, as if it were an accumulation, and every batch is a step.

    Would be wrong if: the gradients are kept on purpose, as a momentum of one's own.

    Not to be confused with: accumulation, several backwards to a step; gradients that are made
    smaller between two steps, a momentum of one's own; a discriminator that gets gradients from
    the generator's loss and clears them before its own step.

    Treatment: optimizer.zero_grad() before the backward pass; safe.

    Source: Smith 2025, TrainCheck (OSDI): missing zero_grad as the standard silent fault.
    """
    loop = record.get(Loop)
    if loop is None or loop.stale_checked < _STEPS:
        return
    share = loop.stale_starts / loop.stale_checked
    others = any_of(nonfinite(record), backward_steps(record), stuck(record))
    excess = loop.stale_excess
    if excess is None:  # the fresh gradient was 0 wherever it was looked at: nothing to compare
        if not others or loop.stale_checked < _MANY:
            return
    elif excess < _MUCH:
        return
    least = _ALWAYS
    if excess is not None and excess >= 1 and loop.stale_checked >= _MANY:
        least = _OFTEN
    if share < least:
        return
    yield Finding(
        name="gradients-never-cleared",
        severity="stop" if others or (excess is not None and excess >= 1) else "warn",
        what=Phrase("{count} of {all} steps began with the gradients of the steps before",
                    count=loop.stale_starts, all=loop.stale_checked),
        evidence=(
            Evidence(
                signal=Phrase("steps that began with old gradients in place"),
                value=share,
                baseline=0.0,
                threshold=least,
                unit="share",
            ),
            *(
                [
                    Evidence(
                        signal=Phrase(
                            "norm of the gradient that was left over, against the fresh one"
                        ),
                        value=excess,
                        baseline=0.0,
                        threshold=_MUCH,
                        unit="times",
                        witness="harm",
                    )
                ]
                if excess is not None
                else []
            ),
            *others,
        ),
        formula="step k goes along g_1 + ... + g_k, where g_k was meant",
        cause=Phrase("Nothing sets the gradients to zero between a step and the next backward."),
        wrong_if=Phrase("old gradients are kept on purpose"),
        not_to_be_confused_with=Phrase("accumulation: several backwards to one step"),
        treatments=(
            Treatment(
                name="zero-grad",
                grade="safe",
                why=Phrase("Clear the gradients before each backward pass of a new step."),
                code="optimizer.zero_grad()",
            ),
        ),
    )  # fmt: skip
