"""The steps are so short that the run stands still."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._rate import DEEPER
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._too_low import too_low
from netwright.doctor.conditions._trials import counterfactual
from netwright.records.facts.setup import Setup
from netwright.records.findings import Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "learning-rate-too-low",
    reads=Record,
    when="before the first step",
    group="rate",
    severity="warn",
    yields_to=(*DEEPER, "clipping-every-step", "scheduler-misuse"),
)
def learning_rate_too_low(record: Record) -> Iterator[Finding]:
    """The learning rate is too low: each step does what it promises, and next to nothing.

    Why it hurts: the run stands still, and no number looks wrong.

    Evidence: of the cause, the update is under 2e-5 of the weights in the median while actual and
    promised fall agree (under 2e-3 after 120 steps, where a trial falls at ten times the rate), or
    Adam's eps is ten times the entries of the gradient, so that the division by their size does
    nothing. Of the harm: the loss fell by under 2 % in a hundred steps or stays at that of
    guessing, and one batch falls five times as far at ten times the rate. Before the first step the
    trials alone speak; in a run of fewer than 40 steps that is a note, for a loop may warm up by
    hand.

    Would be wrong if: the rate is still on its way up, or the run is done.

    Not to be confused with: clipping or a schedule that takes the rate away (conditions of their
    own); fine-tuning, where the loss is low from the beginning; a converged run.

    Treatment: a higher rate, found by a range test; the usual eps of 1e-8: ask.

    Source: Smith 2017, Cyclical learning rates for training neural networks.
    """
    case = too_low(record)
    if case is None or not case.harms or too_high(record) is not None:
        return
    found, setup = course(record), record.get(Setup)
    rate = setup.lr if setup is not None and setup.lr else None
    sure = found is None or found.steps >= EARLY
    yield Finding(
        name="learning-rate-too-low",
        severity="warn" if sure else "note",
        what=(
            Phrase("The steps are too short: eps of the optimizer swallows the gradient")
            if case.factor == "eps"
            else Phrase("The learning rate{rate} is too low", rate=f" {rate:g}" if rate else "")
        ),
        evidence=(*case.causes, *case.harms),
        formula="fall per step = rate x |gradient|^2",
        confidence=0.9 if len(case.harms) > 1 else 0.75,
        cause=(
            Phrase("eps is far above the entries of the gradient: a step is rate / eps x gradient.")
            if case.factor == "eps"
            else Phrase("A step moves the weights by less than a hundred-thousandth.")
        ),
        counterfactual=counterfactual(record, 10.0),
        wrong_if=Phrase("the rate is still on its way up, or the loss can fall no further"),
        not_to_be_confused_with=Phrase("a run that is done, whose gradients are small for that"),
        treatments=(
            Treatment(
                name="usual-eps" if case.factor == "eps" else "higher-rate",
                grade="ask",
                why=(
                    Phrase("Take the usual eps of 1e-8.")
                    if case.factor == "eps"
                    else Phrase("Raise the rate tenfold until a step moves the weights by a "
                                "thousandth, or take the one a range test finds.")
                ),
                code="eps=1e-8" if case.factor == "eps" else (f"lr={rate * 10:g}" if rate else ""),
            ),
        ),
    )  # fmt: skip
