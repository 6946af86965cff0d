"""Targets of a type or shape that the loss does not take."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.records.facts.failure import Failure
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

BY_INDEX = ("cross_entropy", "nll_loss", "multi_margin_loss")


@CONDITIONS.register(
    "label-dtype",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
)
def label_dtype(record: Record) -> Iterator[Finding]:
    """The loss raised, and its target has another type or another shape than it takes.

    Why it hurts: there is no first step.

    Evidence: the call that raised, with the types and shapes it was given. Losses over classes
    take whole labels of shape (N, ...) and type int64, or probabilities of the shape of the
    output; binary and squared losses take floating-point targets.

    Would be wrong if: the same call ends well with the target cast as proposed.

    Not to be confused with: labels that have no output (labels-out-of-range).

    Treatment: cast the target, or take its class numbers; ask where the values change, as float
    class numbers that are no whole numbers do.

    Source: the documentation of torch.nn.CrossEntropyLoss and BCEWithLogitsLoss.
    """
    failure = record.get(Failure)
    if failure is None or not failure.target_dtype:
        return
    proposal = _proposal(failure)
    if proposal is None:
        return
    cause, why, code = proposal
    yield Finding(
        name="label-dtype",
        severity="stop",
        step=failure.step,
        what=Phrase(
            "{loss} got a target of type {dtype} and shape {shape}, and raised {error}",
            loss=failure.kind,
            dtype=failure.target_dtype,
            shape=str(failure.target_shape),
            error=failure.error,
        ),
        evidence=(
            Evidence(
                signal=Phrase("targets of a type or shape that the loss does not take"),
                value=failure.target_count,
                baseline=0,
            ),
            Evidence(
                signal=Phrase("steps made until the loss ended with an error"),
                value=failure.step - 1,
                witness="harm",
                step=failure.step,
            ),
        ),
        cause=cause,
        wrong_if=Phrase("the same call raises with the target cast as proposed"),
        not_to_be_confused_with=Phrase("labels that have no output"),
        treatments=(Treatment(name="cast-target", grade="ask", why=why, code=code),),
    )  # fmt: skip


def _proposal(failure: Failure) -> tuple[Phrase, Phrase, str] | None:
    """The cause, the cure and its code."""
    given, target = failure.input_shape, failure.target_shape
    if failure.kind in BY_INDEX and len(given) > 1:
        places = (given[0], *given[2:])
        if target == given and failure.target_distinct in (1, 2):
            return (
                Phrase("The target has a place for each class, and the loss takes class numbers."),
                Phrase("Give it the number of the class."),
                "target = target.argmax(dim=1)",
            )
        if target in ((places[0], 1, *places[1:]), (*places, 1)):
            dim = 1 if len(places) > 1 and target[1] == 1 else -1
            return (
                Phrase("The target has a dimension of size 1 too many."),
                Phrase("Take that dimension away."),
                f"target = target.squeeze({dim}).long()",
            )
        if target == places and failure.target_whole and failure.target_dtype != "int64":
            return (
                Phrase("Class numbers must be of type int64."),
                Phrase("Cast the labels."),
                "target = target.long()",
            )
        return None
    if failure.kind in BY_INDEX or "ype" not in failure.message:
        return None
    if not failure.target_floating:
        return (
            Phrase("This loss takes floating-point targets."),
            Phrase("Cast the targets."),
            "target = target.float()",
        )
    if failure.target_dtype != failure.input_dtype:
        return (
            Phrase("Output and target are of different precision."),
            Phrase("Cast the targets."),
            "target = target.to(output.dtype)",
        )
    return None
