"""Gradients are taken, and no step."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.loop import Loop
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Backwards without a step: more than anybody accumulates over without a single step before.
_MANY = 100


@CONDITIONS.register(
    "optimizer-never-steps",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="stop",
    yields_to=("mixed-precision-trouble", "nonfinite"),
)
def optimizer_never_steps(record: Record) -> Iterator[Finding]:
    """The optimizer never takes a step, though gradients are taken again and again.

    Why it hurts: the weights stay as they were drawn, and every epoch computes the same.

    Evidence: backwards since the beginning, of which none was followed by a step, and the values
    of some parameters, which are those of the beginning.

    Would be wrong if: another optimizer, or the loop itself, moves the weights: then their values
    change, and nothing is said.

    Not to be confused with: accumulation over many batches, which does step in the end; a loss
    scaler that leaves out every step.

    Treatment: call optimizer.step(); code.

    Source: Humbatova et al. 2020, Taxonomy of real faults in deep learning systems.
    """
    loop = record.get(Loop)
    if loop is None or loop.steps or loop.probes_moved or loop.idle_backwards < _MANY:
        return
    yield Finding(
        name="optimizer-never-steps",
        severity="stop",
        what=Phrase("{count} backwards, and not one step", count=loop.idle_backwards),
        evidence=(
            Evidence(
                signal=Phrase("backwards without a step"),
                value=loop.idle_backwards,
                baseline=1,
                threshold=_MANY,
            ),
            Evidence(
                signal=Phrase("parameters, of those looked at, with another value than at first"),
                value=0,
                baseline=1,
                witness="harm",
            ),
        ),
        cause=Phrase("The loop does not call optimizer.step(), or calls that of another one."),
        wrong_if=Phrase("gradients are accumulated over even more batches"),
        not_to_be_confused_with=Phrase("accumulation: several backwards to one step"),
        treatments=(
            Treatment(
                name="step",
                grade="advice",
                why=Phrase("Call the optimizer's step after the backward pass."),
                code="optimizer.step()",
            ),
        ),
    )
