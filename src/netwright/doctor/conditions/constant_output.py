"""The network gives the same output whatever it is shown."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course
from netwright.doctor.conditions._harm import stuck, unfit
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.doctor.conditions._terms import floored, is_point, terms_of
from netwright.records.facts.answers import Answers
from netwright.records.facts.fit import Fit
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

SAME = 1e-5
"""Spread over the batch, of the size of the outputs: rounding leaves about 1e-7."""

NEARLY = 1e-3
"""The same where one batch never comes below guessing: what a norm makes of nothing is noise."""

NOTHING = 0.995
"""Of the loss of the best constant on a batch: a trial above that has learned nothing else."""

LONG = 20
"""Steps after which outputs that were equal at the start ought to differ."""

LOOKS = 3
"""Looks at all of which the outputs are equal."""

LEFT = 0.3
"""Share of the loss of guessing that there is still to learn."""


@CONDITIONS.register(
    "constant-output",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="stop",
    yields_to=(
        *PROVED, *THROWN, "dead-relu", "bottleneck", "saturated-units", "vanishing-gradients",
        "over-regularised", "weak-optimizer",
    ),
)  # fmt: skip
def constant_output(record: Record) -> Iterator[Finding]:
    """All samples of a batch get one output, and it stays so.

    Why it hurts: what does not depend on the input is guessing.

    Evidence: the standard deviation of each output over the batch is nothing against the size of
    the outputs, though the inputs differ, at every step looked at after the twentieth; or, before
    the first step, whatever the last weights give (they were driven far up and down), the same
    number comes out behind an operation that is no activation. As harm, a loss that stays at the
    best constant's, or a batch that cannot be fitted.

    Would be wrong if: two different inputs get different outputs.

    Not to be confused with: a last layer that starts at zero, whose outputs part with the first
    steps; a batch of equal inputs.

    Treatment: see the causes: dead units, saturated units, weights far too small; advice.

    Source: Karpathy 2019, A recipe for training neural networks.
    """
    point = next((each for each in terms_of(record) if is_point(each)), None)
    seen = _seen(record)
    if point is None and seen is None:
        return
    harm = stuck(record) or unfit(record) or (floored(point) if point is not None else None)
    harm = harm or _all_along(record)
    answers = record.get(Answers)
    yield Finding(
        name="constant-output",
        severity="stop" if harm else "note",
        step=seen[0] if seen else None,
        what=Phrase("All {samples} samples of a batch get the same output",
                    samples=answers.samples)
        if seen and answers is not None
        else Phrase("The output is one number, whatever the network is shown"),
        evidence=(
            *(
                [
                    Evidence(
                        signal=Phrase("largest spread of an output over the batch, of the "
                                      "outputs' size"),
                        value=seen[1],
                        threshold=_bound(record),
                        step=seen[0],
                    )
                ]
                if seen
                else []
            ),
            *(
                [
                    Evidence(
                        signal=Phrase("width of the range that the output can take"),
                        value=(point.high or 0.0) - (point.low or 0.0),
                        threshold=SAME,
                    )
                ]
                if point is not None
                else []
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


def _seen(record: Record) -> tuple[int, float] | None:
    """The last step looked at, and the largest spread since the twentieth."""
    answers = record.get(Answers)
    if answers is None or not answers.inputs_differ or answers.samples < 4:
        return None
    later = [
        spread for step, spread in zip(answers.steps, answers.spread, strict=True) if step > LONG
    ]
    # A spread that is not a number says nothing of the outputs but that they are none.
    if len(later) < 2 or not all(spread <= _bound(record) for spread in later):
        return None
    return answers.steps[-1], max(later)


def _bound(record: Record) -> float:
    """How far outputs may differ that are as good as one."""
    fit = record.get(Fit)
    if fit is None or not fit.complete or fit.constant is None or unfit(record) is None:
        return SAME
    ends = [e.end for e in (*fit.trials, *fit.variants.values()) if e.end == e.end]
    return NEARLY if ends and min(ends) >= NOTHING * fit.constant else SAME


def _all_along(record: Record) -> Evidence | None:
    """Nothing of the input has arrived for most of a run, with a loss that is far from done: a
    constant for each place of a map is better than one for all, and no more than guessing."""
    answers, found = record.get(Answers), course(record)
    seen = _seen(record)
    if answers is None or seen is None or found is None or found.broken is not None:
        return None
    looks = [step for step in answers.steps if step > LONG]
    if len(looks) < LOOKS or found.steps < 3 * LONG or found.latest < LEFT * found.ignorance:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of guessing"),
        value=found.latest,
        baseline=found.ignorance,
        threshold=LEFT * found.ignorance,
        witness="harm",
        step=found.steps,
    )
