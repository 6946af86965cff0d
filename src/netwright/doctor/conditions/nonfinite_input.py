"""NaN or infinity in the data."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._data import listed_numbers
from netwright.doctor.conditions._harm import any_of, nonfinite
from netwright.records.facts.inputs import Inputs
from netwright.records.facts.objective import Objective
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "nonfinite-input",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
)
def nonfinite_input(record: Record) -> Iterator[Finding]:
    """Samples or targets hold values that are not finite.

    Why it hurts: one NaN in a sum makes the sum NaN. The loss of its batch is NaN, so is every
    gradient, and after one step so is every weight: the run is over.

    Evidence: the samples by number. The harm is shown on the network: its output, or its loss, is
    not finite on such a sample.

    Would be wrong if: the loop fills or masks these values before the network sees them.

    Not to be confused with: infinities of masks inside attention, which are meant; a loss that
    becomes NaN on finite data.

    Treatment: fill them in, or leave the samples out, and say so; ask. Missing targets: mask them
    in the loss.

    Source: IEEE 754-2019, section 6.2 (operations on a NaN give a NaN).
    """
    inputs = record.get(Inputs)
    if inputs is None or not (inputs.bad_inputs or inputs.bad_targets or inputs.bad_validation):
        return
    harm = any_of(_output(inputs), _loss(record), nonfinite(record))
    certain = bool(harm) and (inputs.bad_fed or inputs.bad_output or inputs.bad_targets > 0)
    bad = inputs.bad_inputs + inputs.bad_targets
    where = inputs.bad_first or inputs.bad_targets_first
    sure = inputs.bad_fed or not inputs.bad_inputs
    yield Finding(
        name="nonfinite-input",
        severity=("stop" if sure else "warn") if certain else "note",
        what=_what(inputs, listed_numbers(where, bad)),
        evidence=(
            Evidence(
                signal=Phrase(
                    "samples with a value that is not finite, of {samples} read",
                    samples=inputs.samples,
                ),
                value=inputs.bad_inputs,
                baseline=0,
            ),
            Evidence(
                signal=Phrase("targets that are not finite"), value=inputs.bad_targets, baseline=0
            ),
            *harm,
        ),
        formula="NaN + x = NaN",
        confidence=1.0 if inputs.bad_fed else 0.9 if certain else 0.6,
        cause=Phrase("Values are missing or were divided by 0 before they came into the data set."),
        wrong_if=Phrase("the loop fills or masks them before the network and the loss see them"),
        not_to_be_confused_with=Phrase("a loss that becomes NaN on finite data"),
        treatments=(
            Treatment(
                name="impute",
                grade="ask",
                why=Phrase("Fill them in (the median of the feature), or leave these samples out."),
                code="x = torch.where(x.isfinite(), x, median)",
            ),
        ),
    )


def _what(inputs: Inputs, where: str) -> Phrase:
    if inputs.bad_inputs:
        return Phrase("Training samples {samples} hold values that are not finite", samples=where)
    if inputs.bad_targets:
        return Phrase("The targets of samples {samples} are not finite", samples=where)
    return Phrase(
        "{count} validation samples hold values that are not finite", count=inputs.bad_validation
    )


def _output(inputs: Inputs) -> Evidence | None:
    if not inputs.bad_output:
        return None
    return Evidence(
        signal=Phrase("samples on which the output of the network was tried and is not finite"),
        value=1,
        baseline=0,
        witness="harm",
    )


def _loss(record: Record) -> Evidence | None:
    objective = record.get(Objective)
    losses = objective.losses if objective is not None else ()
    bad = sum(not -1e38 < each < 1e38 for each in losses)
    if not bad:
        return None
    return Evidence(
        signal=Phrase("first losses that are not finite, of {losses}", losses=len(losses)),
        value=bad,
        baseline=0,
        witness="harm",
    )
