"""A regression whose targets are far larger than what the network gives at the start."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import Course, course
from netwright.doctor.conditions._harm import LONG, any_of, backward_steps, nonfinite, stuck, unfit
from netwright.doctor.conditions._terms import terms_of
from netwright.doctor.conditions._validation import late_start
from netwright.records.facts.objective import TermFact
from netwright.records.facts.target_trial import TargetTrial
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

REGRESSION = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
"""Losses of a difference. All but the squared one pull alike from everywhere: there it is a matter
of how many steps lie between the outputs and their targets."""

LARGER = 10.0
"""Times the spread of the output at the start; proposed, not measured."""

APART = 100.0
"""Times the spread of another target of the same loss: of its gradient it has a ten-thousandth."""

FAR = 0.6
"""Of guessing: a loss of distances above that has most of its way to go."""

LEFT = 0.5
"""What the steps of the trial must have left unexplained, of what the targets' means leave."""

BETTER = 0.7
"""Of that, what they may leave at the most once the targets are standardised."""


@CONDITIONS.register(
    "unscaled-target",
    reads=Record,
    when="before the first step",
    group="data",
    severity="warn",
    yields_to=("silent-broadcast", "output-activation-mismatch"),
)
def unscaled_target(record: Record) -> Iterator[Finding]:
    """The targets of a squared loss lie far from the outputs, or from one another, in their units.

    Why it hurts: the gradient of a squared loss goes with the distance. Targets in the hundreds
    give first steps that are hundreds of times too long for the rate, or, with a rate that bears
    them, a network that spends its time on learning one constant. Of several targets
    the widest has all of the gradient, and the others are not learned.

    Evidence: spread or mean size of the target over the spread of the output at the start, or the
    spread of one target over that of another. As harm a trial: the same steps on the first batch
    with the targets as they are and standardised, by what they leave unexplained; or a good part of
    the run spent above the loss of the best constant, steps that raise the loss of their own batch,
    values that are not finite, a batch that cannot be fitted.

    Would be wrong if: the same loop learns as badly with the targets divided by their spread.

    Not to be confused with: a rate too high for any target; a last layer that starts at zero.

    Treatment: standardise the target and carry mean and spread with the model; ask.

    Source: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3; Bishop 1995, 8.2.
    """
    tried = record.get(TargetTrial)
    for term in terms_of(record):
        if term.kind not in REGRESSION or term.target_std is None or term.target_mean is None:
            continue
        if term.broadcast or term.input_std <= 1e-6:
            continue
        spread, size = term.target_std, abs(term.target_mean)
        causes = any_of(_far_off(term, spread, size), _uneven(tried))
        if not causes:
            continue
        harm = _harm(record, term, tried)
        yield Finding(
            name="unscaled-target",
            severity="warn" if harm else "note",
            what=Phrase(
                "Targets of mean {mean:.3g} and spread {spread:.3g}, outputs spread {output:.3g}",
                mean=term.target_mean,
                spread=spread,
                output=term.input_std,
            ),
            evidence=(*causes, *harm[:2]),
            formula="max(std y, |mean y|) > 10 std output; max std y_j > 100 min std y_j",
            confidence=0.8 if harm else 0.5,
            cause=Phrase("The squared loss pulls as hard as the targets are far away.")
            if term.kind == "mse_loss"
            else Phrase("The steps of this rate are short for targets that are so far away."),
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


def _far_off(term: TermFact, spread: float, size: float) -> Evidence | None:
    if max(spread, size) <= LARGER * term.input_std or max(spread, size) <= LARGER / 2:
        return None
    return Evidence(
        signal=Phrase("size of the target, over the spread of the output at the start"),
        value=max(spread, size) / term.input_std,
        threshold=LARGER,
        unit="times",
    )


def _uneven(tried: TargetTrial | None) -> Evidence | None:
    if tried is None or tried.targets < 2 or tried.std_ratio <= APART:
        return None
    return Evidence(
        signal=Phrase("spread of the widest of {targets} targets, over that of the narrowest",
                      targets=tried.targets),
        value=tried.std_ratio,
        baseline=1.0,
        threshold=APART,
        unit="times",
    )  # fmt: skip


def _harm(record: Record, term: TermFact, tried: TargetTrial | None) -> tuple[Evidence, ...]:
    """What the scale costs. A run that has learned most of what there is needs no other targets,
    unless one of them hides the rest in the loss."""
    found = course(record)
    if found is not None and found.steps >= LONG and found.done and _uneven(tried) is None:
        return ()
    return any_of(
        _trial(tried),
        late_start(record),
        nonfinite(record),
        unfit(record),
        backward_steps(record),
        stuck(record),
        _still_far(record, found) if term.kind != "mse_loss" else None,
    )


def _still_far(record: Record, found: Course | None) -> Evidence | None:
    """Hundreds of steps on, most of the way to targets that pull alike from everywhere is left, and
    the loss still falls as it did."""
    if found is None or found.guess is None or found.steps < LONG or found.broken is not None:
        return None
    if found.latest < FAR * found.guess:
        return None
    return Evidence(
        signal=Phrase("loss of the last steps, against that of the best constant"),
        value=found.latest,
        baseline=found.guess,
        threshold=FAR * found.guess,
        witness="harm",
        step=found.steps,
    )


def _trial(tried: TargetTrial | None) -> Evidence | None:
    if tried is None or tried.raw < LEFT or tried.scaled > BETTER * min(tried.raw, 1.0):
        return None
    return Evidence(
        signal=Phrase(
            "left unexplained of one batch after {steps} steps, against standardised targets",
            steps=tried.steps,
        ),
        value=tried.raw,
        baseline=tried.scaled,
        threshold=LEFT,
        unit="share",
        witness="harm",
    )
