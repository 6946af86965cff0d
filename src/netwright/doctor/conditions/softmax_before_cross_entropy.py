"""Softmax twice: once in the model, once more in the loss."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._terms import floored, terms_of
from netwright.doctor.conditions._wanted import logits_wanted
from netwright.records.facts.objective import TermFact
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "softmax-before-cross-entropy",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
    yields_to=("wrong-dimension", "loss-ignores-parameters"),
)
def softmax_before_cross_entropy(record: Record) -> Iterator[Finding]:
    """Cross-entropy is given probabilities, and takes a softmax of them once more.

    Why it hurts: probabilities lie in 0 .. 1, so that the softmax inside the loss cannot give any
    class more than e / (e + C - 1): 0.23 for ten classes. The loss stays above ln(1 + (C - 1) / e)
    however well the network does (1.461 for ten classes), and its gradients are small.

    Evidence: whatever the last weights give (they were driven far up and down), the rows that the
    loss gets sum to 1 and are not negative; the floor follows by arithmetic.

    Would be wrong if: a row that goes into the loss does not sum to 1.

    Not to be confused with: log_softmax or the logarithm of a softmax before a likelihood loss,
    which is right; a softmax inside the network (attention, gates) or beside the loss, for a
    metric; log_softmax before cross-entropy, which changes nothing.

    Treatment: let the network end in its last layer, and take the softmax for predictions only;
    safe.

    Source: the documentation of torch.nn.CrossEntropyLoss; the floor is derived above.
    """
    for term in terms_of(record):
        if not _twice(term):
            continue
        harm = floored(term, record=record)
        classes = term.classes or 2
        measured = (
            Evidence(
                signal=Phrase("rows into the loss that are probabilities (sum 1, none negative)"),
                value=term.rows_sum_to_one,
                baseline=0,
                unit="share",
            )
            if term.kind == "cross_entropy"
            else Evidence(
                signal=Phrase("softmax operations between the last layer and the loss"),
                value=2,
                baseline=1,
            )
        )
        yield Finding(
            name="softmax-before-cross-entropy",
            severity="stop" if harm else "note",
            what=Phrase(
                "Softmax is applied before {loss}, which applies it once more ({classes} classes)",
                loss=term.kind,
                classes=classes,
            ),
            evidence=(measured, *([harm] if harm else [])),
            formula=term.floor_formula,
            confidence=1.0 if term.driven else 0.9,
            cause=Phrase("The loss expects logits and gets probabilities between 0 and 1."),
            wrong_if=Phrase("a row that goes into the loss does not sum to 1"),
            not_to_be_confused_with=Phrase(
                "the logarithm of a softmax before a likelihood loss, which is right"
            ),
            treatments=(
                Treatment(
                    name="remove-softmax",
                    grade="safe",
                    why=Phrase("Give the loss the logits; take the softmax for predictions only."),
                    code="loss = F.cross_entropy(logits, target)  # logits: before any softmax",
                ),
            ),
        )
        return
    yield from logits_wanted(
        record,
        "softmax-before-cross-entropy",
        "softmax",
        "classes",
        what=Phrase("A softmax is applied before a loss by hand, which wants what is before it"),
        cure=Treatment(
            name="remove-softmax",
            grade="ask",
            why=Phrase("Give the loss the logits; take the softmax for predictions only."),
            code="loss = F.cross_entropy(logits, target)",
        ),
    )


def _twice(term: TermFact) -> bool:
    if term.kind == "cross_entropy" and not term.by_hand:
        return term.always_one and (term.classes or 0) > 1
    words = [word for word in term.before if word in ("softmax", "log_softmax", "log")]
    twice = words[:2] == ["log_softmax", "softmax"] or words[:3] == ["log", "softmax", "softmax"]
    return twice and term.floor is not None
