"""A regression whose targets are far larger than what the network gives at the start."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import backward_steps, nonfinite, stuck, unfit
from netwright.doctor.conditions._terms import terms_of
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

LARGER = 10.0
"""Times the spread of the output at the start; proposed, not measured."""


@CONDITIONS.register(
    "unscaled-target",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("silent-broadcast", "output-activation-mismatch"),
)
def unscaled_target(record: Record) -> Iterator[Finding]:
    """The targets of a squared loss lie far from the outputs, in other units.

    Why it hurts: the gradient of a squared loss goes with the distance. Targets in the hundreds
    give first steps that are hundreds of times too long for the rate, or, with a rate that bears
    them, a network that spends its time on learning one constant.

    Evidence: spread or mean size of the target over the spread of the output at the start; as
    harm, steps that raise the loss of their own batch, values that are not finite, a batch that
    cannot be fitted, or a loss that stays at the best constant.

    Would be wrong if: the same loop learns as badly with the targets divided by their spread.

    Not to be confused with: a rate too high for any target; a last layer that starts at zero.

    Treatment: standardise the target and carry mean and spread with the model; ask.

    Source: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3; Bishop 1995, 8.2.
    """
    harm = tuple(
        each
        for each in (nonfinite(record), unfit(record), backward_steps(record), stuck(record))
        if each is not None
    )
    for term in terms_of(record):
        if term.kind != "mse_loss" or term.target_std is None or term.target_mean is None:
            continue
        if term.broadcast or term.input_std <= 1e-6:
            continue
        spread, size = term.target_std, abs(term.target_mean)
        if max(spread, size) <= LARGER * term.input_std or max(spread, size) <= LARGER / 2:
            continue
        yield Finding(
            name="unscaled-target",
            severity="warn" if harm else "note",
            what=Phrase(
                "Targets of mean {mean:.3g} and spread {spread:.3g}, outputs spread {output:.3g}",
                mean=term.target_mean,
                spread=spread,
                output=term.input_std,
            ),
            evidence=(
                Evidence(
                    signal=Phrase("size of the target, over the spread of the output at the start"),
                    value=max(spread, size) / term.input_std,
                    threshold=LARGER,
                    unit="times",
                ),
                *harm[:2],
            ),
            formula="max(std y, |mean y|) > 10 std output",
            confidence=0.8 if harm else 0.5,
            cause=Phrase("The squared loss pulls as hard as the targets are far away."),
            wrong_if=Phrase("the loop learns as badly with targets divided by their spread"),
            not_to_be_confused_with=Phrase("a rate too high for any target"),
            treatments=(
                Treatment(
                    name="standardise-target",
                    grade="ask",
                    why=Phrase("Train on (y - mean) / spread, and undo it in predictions."),
                    code="target = (target - mean) / std  # of the training set; keep both",
                ),
            ),
        )
        return
