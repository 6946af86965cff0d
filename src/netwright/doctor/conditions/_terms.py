"""What the conditions on losses share: the terms of a record, their floors, their last word."""

from __future__ import annotations

import math

from netwright.core.languages import Phrase
from netwright.doctor.conditions._harm import came_below, entropy_of_labels
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
    if term.floor is None or term.constant is None:
        return None
    if record is not None and came_below(record, term.floor, term.factor):
        return None
    known = entropy_of_labels(record) if record is not None else None
    guess = known if known is not None else guessing(term)
    least = term.least or 0.0
    span = guess - least
    if span <= 0 or term.floor - least < share * span:
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=term.floor,
        baseline=guess,
        threshold=least + share * span,
        witness="harm",
    )


def guessing(term: TermFact) -> float:
    """The loss of the best constant, or of equal chances where that is larger: a batch of one
    class, of sorted data, has a best constant that no network knows."""
    constant = term.constant or 0.0
    if term.kind in ("cross_entropy", "nll_loss") and term.classes:
        return max(constant, math.log(max(term.classes, 2)))
    return max(constant, math.log(2)) if term.kind.startswith("binary") else constant


def is_point(term: TermFact) -> bool:
    """Whether the output is one number by an operation that is no activation: times zero."""
    if not term.driven or term.low is None or term.high is None:
        return False
    flat = term.high - term.low <= 1e-6 * max(1.0, abs(term.high))
    return flat and last_operation(term) not in SQUASHING


SQUASHING = {
    "softmax", "log_softmax", "sigmoid", "logsigmoid", "tanh", "relu", "relu_", "hardtanh", "relu6",
    "hardsigmoid", "clamp", "clamp_", "threshold", "softplus", "softmin", "gumbel_softmax",
}  # fmt: skip
"""Operations whose range is their own."""
