"""Gradients are taken, and no step."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, special
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Backwards without a step: more than anybody accumulates over without a single step before.
_MANY = 100
# Backwards whose gradients were followed, and the share of them that no step read.
_TOLD, _VAIN = 20, 0.7


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

    Or there are steps, and far fewer than backwards: the gradient of each backward is seen to be
    cleared before any step has read it, at seven of ten and more; the harm is what was computed in
    vain, and a loss that is still far from done.

    Would be wrong if: another optimizer, or the loop itself, moves the weights: then their values
    change, and nothing is said.

    Not to be confused with: accumulation over many batches, which does step in the end; a loss
    scaler that leaves out every step.

    Treatment: call optimizer.step(); code.

    Source: Humbatova et al. 2020, Taxonomy of real faults in deep learning systems.
    """
    loop, setup = record.get(Loop), record.get(Setup)
    if loop is not None and loop.steps and not (setup is not None and setup.special):
        yield from _rarely(record, loop)
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


def _rarely(record: Record, loop: Loop) -> Iterator[Finding]:
    """A step after the loop over the batches: only the last gradient of an epoch counts."""
    found = course(record)
    if loop.told_backwards < _TOLD or found is None or special(record):
        return
    share = loop.cleared_backwards / loop.told_backwards
    if share < _VAIN or loop.backwards < loop.steps / (1 - _VAIN) or found.done:
        return
    yield Finding(
        name="optimizer-never-steps",
        severity="warn",
        what=Phrase("{count} backwards, and {steps} steps: the gradients between are thrown away",
                    count=loop.backwards, steps=loop.steps),
        evidence=(
            Evidence(
                signal=Phrase("backwards whose gradient was cleared before any step, of {all}",
                              all=loop.told_backwards),
                value=share,
                baseline=0.0,
                threshold=_VAIN,
                unit="share",
            ),
            Evidence(
                signal=Phrase("loss of the last steps, against that of knowing nothing"),
                value=found.latest,
                baseline=found.ignorance,
                witness="harm",
                step=loop.steps,
            ),
        ),
        cause=Phrase("The step stands after the loop over the batches, the clearing inside it."),
        wrong_if=Phrase("these backwards are for gradients of something else than the weights"),
        not_to_be_confused_with=Phrase("accumulation: several backwards to one step"),
        treatments=(
            Treatment(
                name="step",
                grade="advice",
                why=Phrase("Call the optimizer's step after the backward pass."),
                code="optimizer.step()",
            ),
        ),
    )  # fmt: skip
