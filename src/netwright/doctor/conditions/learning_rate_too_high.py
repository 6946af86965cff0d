"""The steps are too long for the bend of the loss: they leap over the valley."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import EARLY, course
from netwright.doctor.conditions._rate import DEEPER
from netwright.doctor.conditions._too_high import too_high
from netwright.doctor.conditions._trials import counterfactual, fits
from netwright.records.facts.setup import Setup
from netwright.records.findings import Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "learning-rate-too-high",
    reads=Record,
    when="before the first step",
    group="rate",
    severity="stop",
    yields_to=DEEPER,
)
def learning_rate_too_high(record: Record) -> Iterator[Finding]:
    """The learning rate is too high: steps leap over the valley they aim at.

    Why it hurts: on a bend c a step of rate r multiplies the distance to the bottom by 1 - r c;
    beyond r c = 2 (with momentum b: 2 (1 + b)) it grows. The run breaks, or leaps to where units
    are dead or saturated, and stays there.

    Evidence: of the cause, one of: rate x top curvature above that limit; one batch that is fitted
    at a tenth of the rate and not at the rate; steps that raise the loss of their own batch at more
    than 40 % of the looks; a loss that leaps to 1.5 times its beginning while steps are longer than
    5 % of the weights; steps that come to less than a tenth of what they promise in the median; a
    loss that grew tenfold over several steps before it broke; a step as long as the weights
    themselves; long first steps after which hardly a gradient is left; one batch that is fitted
    three times as soon at a tenth of the rate. Of the harm: a loss that is not finite, that stays
    at that of guessing, that stands 1.25 times above what it had reached, or where the causes are
    strong stands still, swings, or is next to guessing after epochs. Once 40 steps were seen the
    run itself must be bad; before, the trial alone speaks, unless the loop clips.

    Would be wrong if: the same run with a tenth of the rate is no better.

    Not to be confused with: unscaled inputs or weights, which bend the loss; the edge of
    stability, where full-batch runs fall with r c about 2; noise of small batches.

    Treatment: a lower rate, found by a range test; a warm-up; clipping by the global norm: ask.

    Source: LeCun et al. 1998, Efficient BackProp; Cohen et al. 2021, Gradient descent on neural
    networks typically occurs at the edge of stability.
    """
    case = too_high(record)
    if case is None or not case.causes or not case.harms:
        return
    found, setup = course(record), record.get(Setup)
    rate = setup.lr if setup is not None and setup.lr else None
    seen = found is not None and (found.steps >= EARLY or found.broken is not None)
    severe = found is not None and found.broken is not None
    yield Finding(
        name="learning-rate-too-high",
        severity="stop" if severe else "warn",
        what=Phrase("The learning rate{rate} is too high", rate=f" {rate:g}" if rate else ""),
        step=case.harms[0].step,
        evidence=(*case.causes, *case.harms),
        formula="rate x curvature < 2 (1 + momentum)",
        confidence=min(0.95, 0.6 + 0.15 * len(case.causes)) if seen else 0.7,
        cause=Phrase("A step is longer than the loss goes straight: it lands beyond the valley."),
        counterfactual=counterfactual(record, 0.1) if fits(record, 0.1) else None,
        wrong_if=Phrase("the same run with a tenth of the rate is no better"),
        not_to_be_confused_with=Phrase(
            "inputs or weights that are not scaled: they bend the loss, and come first"
        ),
        treatments=(
            Treatment(
                name="lower-rate",
                grade="ask",
                why=Phrase("Take a tenth of the rate, or the one a range test finds."),
                code=f"lr={rate / 10:g}" if rate else "",
            ),
            Treatment(
                name="warm-up",
                grade="ask",
                why=Phrase("Let the rate grow over the first steps, and clip by the global norm."),
            ),
            Treatment(
                name="clip",
                grade="ask",
                why=Phrase("Clip the gradient by its global norm, at its usual length."),
                code="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
            ),
        ),
    )
