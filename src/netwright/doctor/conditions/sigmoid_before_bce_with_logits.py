"""Sigmoid twice: once in the model, once more in the loss."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._terms import floored, last_operation, terms_of
from netwright.doctor.conditions._wanted import logits_wanted
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "sigmoid-before-bce-with-logits",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
    yields_to=("loss-ignores-parameters",),
)
def sigmoid_before_bce_with_logits(record: Record) -> Iterator[Finding]:
    """BCE with logits is given probabilities, and takes a sigmoid of them once more.

    Why it hurts: of a value in 0 .. 1 a sigmoid makes one in 0.5 .. 0.731. A target of 0 costs at
    least ln 2, a target of 1 at least ln(1 + 1/e) = 0.313; most of the gradient is lost in the
    first sigmoid.

    Evidence: whatever the last weights give (they were driven far up and down), the loss gets
    values within 0 .. 1; the floor over the targets of the batch follows by arithmetic.

    Would be wrong if: a value that goes into the loss lies outside 0 .. 1.

    Not to be confused with: sigmoid before BCE without logits, which is right; a sigmoid used as a
    gate inside the network, or for a metric beside the loss; a ReLU or tanh before the loss
    (output-activation-mismatch).

    Treatment: let the network end in its last layer, and take the sigmoid for predictions only;
    safe.

    Source: the documentation of torch.nn.BCEWithLogitsLoss; the floor is derived above.
    """
    for term in terms_of(record):
        if term.kind != "binary_cross_entropy_with_logits" or term.low is None or term.high is None:
            continue
        if term.low < -1e-3 or term.high > 1.001 or term.high - term.low < 0.9:
            continue
        harm = floored(term)
        yield Finding(
            name="sigmoid-before-bce-with-logits",
            severity="stop" if harm else "note",
            what=Phrase("A sigmoid is applied before {loss}, which applies it once more",
                        loss=term.kind),
            evidence=(
                Evidence(
                    signal=Phrase("the largest probability that the loss can see"),
                    value=0.731,
                    baseline=1,
                ),
                Evidence(
                    signal=Phrase("the least probability that the loss can see"),
                    value=0.5,
                    baseline=0,
                ),
                *([harm] if harm else []),
            ),
            formula=term.floor_formula,
            confidence=1.0 if last_operation(term) == "sigmoid" else 0.9,
            cause=Phrase("The loss expects logits and gets probabilities between 0 and 1."),
            wrong_if=Phrase("a value that goes into the loss lies outside 0 .. 1"),
            not_to_be_confused_with=Phrase("a sigmoid before BCE without logits, which is right"),
            treatments=(
                Treatment(
                    name="remove-sigmoid",
                    grade="safe",
                    why=Phrase("Give the loss the logits; take the sigmoid for predictions only."),
                    code="loss = F.binary_cross_entropy_with_logits(logits, target)",
                ),
            ),
        )  # fmt: skip
        return
    yield from logits_wanted(
        record,
        "sigmoid-before-bce-with-logits",
        "sigmoid",
        "signs",
        what=Phrase("A sigmoid is applied before a loss by hand, which wants what is before it"),
        cure=Treatment(
            name="remove-sigmoid",
            grade="ask",
            why=Phrase("Give the loss the logits; take the sigmoid for predictions only."),
            code="loss = F.binary_cross_entropy_with_logits(logits, target)",
        ),
    )
