"""The last activation cannot reach what the targets ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._harm import came_below, stuck, unfit
from netwright.doctor.conditions._terms import HIGH, floored, is_point, last_operation, terms_of
from netwright.doctor.conditions._wanted import held_up
from netwright.records.facts.objective import TermFact
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

DIFFERENCES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")

ELSEWHERE = {("sigmoid", "signs"), ("softmax", "classes")}
"""Activations and targets of which other conditions tell."""

NARROW = 1e-3
"""A width of the output's range, of its size, below which it is a constant."""


@CONDITIONS.register(
    "output-activation-mismatch",
    reads=Record,
    when="before the first step",
    group="output",
    severity="stop",
    yields_to=(
        "softmax-before-cross-entropy",
        "sigmoid-before-bce-with-logits",
        "wrong-dimension",
        "loss-ignores-parameters",
    ),
)
def output_activation_mismatch(record: Record) -> Iterator[Finding]:
    """The values that the last activation lets through do not cover the targets.

    Why it hurts: a ReLU never gives a negative target, a sigmoid none above 1, a tanh none of
    0 .. 9; bounded logits cannot make any class sure; a softmax of one unit is 1 whatever goes in,
    and has no gradient. The rest of the loss stays, and pulls at weights that cannot answer.

    Evidence: what the last weights give was driven far up and down, and the values that came out
    behind the last activation are the range. For a regression the loss of the targets cut off at
    that range is the floor; for bounded logits ln(1 + (C - 1) exp(-width)), and
    (1 - q) ln(1 + exp(low)) + q ln(1 + exp(-high)) for a share q of ones.

    Would be wrong if: the output takes a value outside the range that was found.

    Not to be confused with: sigmoid and targets within 0 .. 1 (an autoencoder); ReLU or softplus
    and counts; a few outliers beyond the range, whose floor is low (a note).

    Treatment: another last activation, or targets scaled into its range; ask.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2; floors derived above.
    """
    for term in terms_of(record):
        if not term.driven or (term.low is None and term.high is None):
            continue
        shared = _shared(term)
        if shared is not None:
            yield _finding(term, "stop", (shared,), 1.0)
            return
        if _belongs_elsewhere(term) or is_point(term):
            continue
        if _constant(term):
            yield _finding(term, "stop", (_no_gradient(term),), 1.0)
            return
        if term.floor is not None and came_below(record, term.floor, term.factor):
            continue
        harm = floored(term)
        if term.kind in DIFFERENCES:
            if not term.target_outside:
                continue
        elif harm is None:
            harm = (stuck(record) or unfit(record)) if _one_sided_logits(term) else None
            if harm is None:
                continue
        yield _finding(term, "stop" if harm else "note", (harm,) if harm else (), 1.0)
        return
    yield from _by_hand(record)


def _by_hand(record: Record) -> Iterator[Finding]:
    """A loss of somebody's own, and a last function that keeps it up, as the descent of free
    outputs shows. Softmax and sigmoid before a loss for logits have conditions of their own."""
    held = held_up(record)
    if held is None or (held[0].activation, held[0].targets) in ELSEWHERE:
        return
    yield Finding(
        name="output-activation-mismatch",
        severity="stop",
        what=Phrase("{activation} before a loss by hand keeps it from falling",
                    activation=held[0].activation),
        evidence=held[1:],
        confidence=0.9,
        cause=Phrase("The last activation lets through only a part of what the loss asks for."),
        wrong_if=Phrase("the loss falls below this floor in the run"),
        not_to_be_confused_with=Phrase("an activation whose range holds every target"),
        treatments=(
            Treatment(
                name="change-last-activation",
                grade="ask",
                why=Phrase("Let the network end in its last layer, or scale the targets."),
            ),
        ),
    )  # fmt: skip


def _belongs_elsewhere(term: TermFact) -> bool:
    """Softmax and sigmoid before a loss that has its own have conditions of their own."""
    if term.always_one and term.kind not in DIFFERENCES and not _constant(term):
        return True
    return (
        term.kind == "binary_cross_entropy_with_logits"
        and term.low is not None
        and term.high is not None
        and term.low >= -1e-3
        and 0.9 <= term.high - term.low <= 1.001
    )


def _shared(term: TermFact) -> Evidence | None:
    """A softmax before a binary loss of several labels: k of them share a sum of 1, and cost at
    least k ln k, over all units."""
    sums, classes = term.target_sums or 0.0, term.input_shape[-1] if term.input_shape else 0
    if term.kind != "binary_cross_entropy" or not term.always_one or sums <= 1.2 or not classes:
        return None
    floor, guess = sums * math.log(sums) / classes, term.constant or 0.0
    if floor < HIGH * guess:
        return None
    return Evidence(
        signal=Phrase("the least that the loss can reach, against guessing"),
        value=floor,
        baseline=guess,
        threshold=HIGH * guess,
        witness="harm",
    )


def _constant(term: TermFact) -> bool:
    if term.low is None or term.high is None or term.kind == "cross_entropy":
        return False
    return term.high - term.low < NARROW * max(1.0, abs(term.high))


def _one_sided_logits(term: TermFact) -> bool:
    return term.kind in ("cross_entropy", "binary_cross_entropy_with_logits") and term.low == 0.0


def _no_gradient(term: TermFact) -> Evidence:
    return Evidence(
        signal=Phrase("width of the range that the output can take"),
        value=(term.high or 0.0) - (term.low or 0.0),
        threshold=NARROW,
        witness="harm",
    )


def _finding(
    term: TermFact, severity: str, harm: tuple[Evidence, ...], confidence: float
) -> Finding:
    low = Phrase("no bound") if term.low is None else Phrase("{value:.3g}", value=term.low)
    high = Phrase("no bound") if term.high is None else Phrase("{value:.3g}", value=term.high)
    evidence: list[Evidence] = []
    if term.low is not None:
        evidence.append(
            Evidence(
                signal=Phrase("the least value that the output can take"),
                value=term.low,
                baseline=term.target_min if term.kind in DIFFERENCES else None,
            )
        )
    if term.high is not None:
        evidence.append(
            Evidence(
                signal=Phrase("the largest value that the output can take"),
                value=term.high,
                baseline=term.target_max if term.kind in DIFFERENCES else None,
            )
        )
    if term.target_outside:
        evidence.append(
            Evidence(
                signal=Phrase("targets outside that range"),
                value=term.target_outside,
                baseline=0,
                unit="share",
            )
        )
    return Finding(
        name="output-activation-mismatch",
        severity=severity,  # type: ignore[arg-type]
        what=Phrase(
            "{activation} before {loss}: the output lies between {low} and {high}",
            activation=last_operation(term) or Phrase("what comes last"),
            loss=term.kind,
            low=low,
            high=high,
        ),
        evidence=(*evidence, *harm),
        formula=term.floor_formula,
        confidence=confidence,
        cause=Phrase("The last activation lets through only a part of what the loss asks for."),
        wrong_if=Phrase("the output takes a value outside the range that was found"),
        not_to_be_confused_with=Phrase("an activation whose range holds every target"),
        treatments=(
            Treatment(
                name="change-last-activation",
                grade="ask",
                why=Phrase("Let the network end in its last layer, or scale the targets."),
            ),
        ),
    )
