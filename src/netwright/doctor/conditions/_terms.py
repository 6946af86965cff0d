"""What the conditions on losses share: the terms of a record, their floors, their last word."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._harm import entropy_of_labels
from netwright.records.facts.objective import Objective, TermFact
from netwright.records.findings import Evidence
from netwright.records.record import Record

HIGH = 0.2
"""A floor at this share of what guessing costs is harm enough by itself: proposed, from the floors
of softmax (0.45 to 0.9 of guessing) and of tanh (0.18 to 0.6) before cross-entropy."""

VIEWS = {
    "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "movedim", "t",
    "getitem", "unflatten", "ravel", "select",
}  # fmt: skip


def terms_of(record: Record) -> tuple[TermFact, ...]:
    """The terms of the loss, none where nothing is known of it."""
    objective = record.get(Objective)
    return () if objective is None else objective.parts


def last_operation(term: TermFact) -> str:
    """Torch's word for what the values went through last, views left out; "" for a layer."""
    return next((word for word in term.before if word not in VIEWS), "")


def floored(
    term: TermFact, share: float = HIGH, *, record: Record | None = None
) -> Evidence | None:
    """H5 of one term: it cannot fall below a floor that is high against guessing; over all labels
    where a first batch of one class says that guessing costs nothing."""
    constant = term.constant
    if not constant and record is not None:
        constant = entropy_of_labels(record)
    if term.floor is None or constant is None:
        return None
    least = term.least or 0.0
    span = constant - least
    if span <= 0 or term.floor - least < share * span:
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=term.floor,
        baseline=constant,
        threshold=least + share * span,
        witness="harm",
    )
