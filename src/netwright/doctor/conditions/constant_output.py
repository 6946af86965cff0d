"""The network gives the same output whatever it is shown."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import stuck, unfit
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.records.facts.answers import Answers
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SAME = 1e-5
"""Spread over the batch, of the size of the outputs: rounding leaves about 1e-7."""

LONG = 20
"""Steps after which outputs that were equal at the start ought to differ."""


@CONDITIONS.register(
    "constant-output",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="stop",
    yields_to=(*PROVED, *THROWN, "dead-relu", "saturated-units", "vanishing-gradients"),
)
def constant_output(record: Record) -> Iterator[Finding]:
    """All samples of a batch get one output, and it stays so.

    Why it hurts: what does not depend on the input is guessing.

    Evidence: the standard deviation of each output over the batch is nothing against the size of
    the outputs, though the inputs differ, at every step looked at after the twentieth. As harm, a
    loss that stays at the best constant's, or a batch that cannot be fitted.

    Would be wrong if: two different inputs get different outputs.

    Not to be confused with: a last layer that starts at zero, whose outputs part with the first
    steps; a batch of equal inputs.

    Treatment: see the causes: dead units, saturated units, weights far too small; advice.

    Source: Karpathy 2019, A recipe for training neural networks.
    """
    answers = record.get(Answers)
    if answers is None or not answers.inputs_differ or answers.samples < 4:
        return
    later = [
        spread
        for step, spread in zip(answers.steps, answers.spread, strict=True)
        if step > LONG
    ]  # fmt: skip
    if len(later) < 2 or max(later) > SAME:
        return
    harm = stuck(record) or unfit(record)
    yield Finding(
        name="constant-output",
        severity="stop" if harm else "note",
        step=answers.steps[-1],
        what=Phrase("All {samples} samples of a batch get the same output",
                    samples=answers.samples),
        evidence=(
            Evidence(
                signal=Phrase("largest spread of an output over the batch, of the outputs' size"),
                value=max(later),
                threshold=SAME,
                step=answers.steps[-1],
            ),
            *([harm] if harm else []),
        ),
        confidence=1.0 if harm else 0.8,
        cause=Phrase("Nothing of the input arrives at the output."),
        wrong_if=Phrase("two different inputs get different outputs"),
        not_to_be_confused_with=Phrase("a last layer that starts at zero and moves on"),
        treatments=(
            Treatment(
                name="see-causes",
                grade="advice",
                why=Phrase("Look for dead or saturated units and for weights far too small."),
            ),
        ),
    )  # fmt: skip
