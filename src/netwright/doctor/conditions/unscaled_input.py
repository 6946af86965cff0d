"""Inputs on a scale that the first layer was not made for."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._capacity import far_behind, far_from_done
from netwright.doctor.conditions._harm import any_of, backward_steps, nonfinite, stuck, unfit
from netwright.doctor.conditions._start import judgement
from netwright.doctor.conditions._validation import late_start
from netwright.records.facts.first_layer import FirstLayer
from netwright.records.facts.rescaled import Rescaled
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import MOST_FLAT
from netwright.records.record import Record

LOW, HIGH = 0.05, 20.0
"""Of the layer's output to its design value. Images of 0 .. 1 measure 0.3 to 1, standardised ones
1, those of 0 .. 255 measure 80 and more (MNIST, a convolution and a linear layer)."""

SPENT = 0.2
"""Part of the run that may go into what a network pays for the scale of its first outputs."""

SLOWER = 1.5
"""Times the loss that the trial reaches on standardised inputs; where the layer is flat too."""

PART, MOST_LEFT = 0.1, 0.8
"""Of the loss of guessing: what the scale has to cost on other samples, and what there may be left
on standardised inputs, or they are learned no better."""

STD_RATIO = 1e3
CONDITION = 1e6

CODE = "model = nn.Sequential(nn.BatchNorm{dims}d({features}, affine=False), model)"


@CONDITIONS.register(
    "unscaled-input",
    reads=Record,
    when="before the first step",
    group="data",
    severity="stop",
    yields_to=("nonfinite-input",),
)
def unscaled_input(record: Record) -> Iterator[Finding]:
    """The inputs are far larger or smaller than the first layer expects, or its features are.

    Why it hurts: an initialiser keeps the spread of values of about 1. Inputs a hundred times as
    large make activations, losses and gradients a hundred times as large, and the curvature ten
    thousand times: a rate that suits the other layers throws this one out. Features on different
    scales need different rates, and get one.

    Evidence: the output of the first layer at the start over what its weights give on inputs of
    mean 0 and variance 1; the ratio of the spreads of its features. The harm is a trial: the same
    steps on the first batch as it is and standardised, or on some batches, judged by samples that
    were not learned from; or the condition number of E[x x^T]; or that the layer's tanh or sigmoid
    is flat on most values, where the trial does not get as far; or that the run ends far above what
    a plain network comes to.

    Would be wrong if: the batch as it is can be fitted as fast as the standardised one.

    Not to be confused with: images of 0 .. 255 into a network that divides them itself or begins
    with a norm, one-hot rows, or a rate that is too high on inputs of the right scale.

    Treatment: standardise the inputs as the first layer of the model, so that the scale travels
    with it; safe.

    Source: LeCun, Bottou, Orr & Mueller 1998, Efficient backprop, section 4.3.
    """
    first = record.get(FirstLayer)
    if first is None or first.normaliser or first.input_rms == 0:
        return  # of what is zero throughout no scale is wrong: something before it took all away
    causes = any_of(_scale(first), _features(first))
    if not causes:
        return
    harm = any_of(_trial(first), _conditioned(first)) or any_of(_unseen(record, first))
    if not harm and (first.trial is None or _slower(first)):
        harm = any_of(_flat(record, first))
    if not harm:
        harm = any_of(nonfinite(record), stuck(record), late_start(record, SPENT))
    if not harm and first.trial is None:
        harm = any_of(unfit(record), backward_steps(record))
    if not harm and _scale(first) is not None:
        harm = any_of(far_from_done(record) or far_behind(record))
    nothing = first.trial is not None and first.trial.raw_end > 0.9 * first.trial.scaled_start
    yield Finding(
        name="unscaled-input",
        severity=("stop" if nothing and _trial(first) is not None else "warn") if harm else "note",
        layers=(first.layer,),
        what=Phrase(
            "Inputs of {low} to {high} go into {layer}, unscaled",
            low=f"{first.low:.4g}",
            high=f"{first.high:.4g}",
            layer=first.layer or first.operation,
        ),
        evidence=(*causes, *harm),
        formula="rms(W x) / sqrt(mean |w|^2), and max std / min std over the features of x",
        confidence=0.95 if harm else 0.6,
        cause=Phrase("Nothing between the data and the first layer brings them to a common scale."),
        wrong_if=Phrase("the batch as it is can be fitted as fast as the standardised one"),
        not_to_be_confused_with=Phrase("a rate that is too high on inputs of the right scale"),
        counterfactual=_counterfactual(first),
        treatments=(
            Treatment(
                name="standardise-input",
                grade="safe",
                why=Phrase("Standardise every channel or feature as the first layer of the model."),
                code=CODE.format(
                    dims=2 if first.operation == "conv2d" else 1, features=first.features
                ),
            ),
        ),
    )


def _scale(first: FirstLayer) -> Evidence | None:
    ratio = first.ratio
    if ratio is None or first.normalised_after or LOW <= ratio <= HIGH:
        return None
    # One-hot and sparse rows have small outputs, but values of the usual size.
    if ratio < LOW and first.value_rms >= LOW:
        return None
    return Evidence(
        signal=Phrase("output of the first layer at the start, over its design value"),
        value=ratio,
        baseline=1.0,
        threshold=HIGH if ratio > 1 else LOW,
        unit="times",
        layer=first.layer,
    )


def _features(first: FirstLayer) -> Evidence | None:
    ratio = first.std_ratio
    if ratio is None or ratio <= STD_RATIO:
        return None
    return Evidence(
        signal=Phrase(
            "spread of feature {most} over that of feature {least}",
            most=first.most,
            least=first.least,
        ),
        value=ratio,
        baseline=1.0,
        threshold=STD_RATIO,
        layer=first.layer,
    )


def _trial(first: FirstLayer) -> Evidence | None:
    """The batch is fitted once it is standardised, and not as it is."""
    trial = first.trial
    if trial is None:
        return None
    fits = trial.scaled_end < 0.5 * trial.scaled_start
    bound = max(2 * trial.scaled_end, 0.5 * min(trial.raw_start, trial.scaled_start))
    if not fits or trial.raw_end <= bound:
        return None
    return Evidence(
        signal=Phrase(
            "loss of one batch after {steps} steps on it as it is, against standardised",
            steps=trial.steps,
        ),
        value=min(trial.raw_end, 1e30),
        baseline=trial.scaled_end,
        threshold=bound,
        witness="harm",
    )


def _unseen(record: Record, first: FirstLayer) -> Evidence | None:
    """One batch is learned by heart on any scale; other samples are not foretold."""
    found = record.get(Rescaled)
    if found is None or found.guess is None or _scale(first) is None:
        return None
    bound = max(SLOWER * found.scaled, found.scaled + PART * found.guess)
    if found.as_is <= bound or found.scaled > MOST_LEFT * found.guess:
        return None
    return Evidence(
        signal=Phrase("loss on {samples} other samples after {steps} steps on inputs as they are, "
                      "against standardised", samples=found.samples, steps=found.steps),
        value=min(found.as_is, 1e30),
        baseline=found.scaled,
        threshold=bound,
        witness="harm",
    )  # fmt: skip


def _slower(first: FirstLayer) -> bool:
    trial = first.trial
    return trial is not None and trial.raw_end > SLOWER * trial.scaled_end


def _flat(record: Record, first: FirstLayer) -> Evidence | None:
    """Large inputs drive the activation behind the layer to where it has no slope."""
    found = judgement(record, "saturated")
    if found is None or first.layer not in found.layers:
        return None
    return Evidence(
        signal=Phrase("values with a slope under 5 % of the steepest, in the worst layer"),
        value=found.value,
        baseline=0.0,
        threshold=MOST_FLAT,
        unit="share",
        layer=first.layer,
        witness="harm",
    )


def _conditioned(first: FirstLayer) -> Evidence | None:
    """Bad by the scales of the features alone: standardised, it is a thousand times better."""
    if first.condition is None or first.condition_scaled is None or _features(first) is None:
        return None
    if first.condition <= CONDITION or first.condition_scaled > first.condition / 1e3:
        return None
    return Evidence(
        signal=Phrase("condition number of E[x x^T], against that of standardised features"),
        value=first.condition,
        baseline=first.condition_scaled,
        threshold=CONDITION,
        witness="harm",
    )


def _counterfactual(first: FirstLayer) -> Phrase | None:
    trial = first.trial
    if trial is None or _trial(first) is None:
        return None
    return Phrase(
        "With the batch standardised, the same {steps} steps bring its loss to {scaled}; as it is, "
        "to {raw}.",
        steps=trial.steps,
        scaled=f"{trial.scaled_end:.3g}",
        raw=f"{trial.raw_end:.3g}",
    )
