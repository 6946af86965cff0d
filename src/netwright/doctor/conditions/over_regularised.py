"""Dropout or weight decay so strong that the network cannot learn."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._rate import DEEPER, groups, too_much_regularised
from netwright.records.facts.fit import Fit
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record


@CONDITIONS.register(
    "over-regularised",
    reads=Record,
    when="before the first step",
    group="generalisation",
    severity="warn",
    yields_to=DEEPER,
)
def over_regularised(record: Record) -> Iterator[Finding]:
    """Dropout or weight decay leaves nothing of what a step learns.

    Why it hurts: decay pulls the weights to zero faster than the loss moves them, or dropout hides
    so much of a layer that each step learns for another network.

    Evidence: the trial. One batch cannot be fitted at any of three rates; the same steps at the
    rate that is set fit it once dropout rests and decay is 0. Measured: dropout of 0.95 in a
    network of two hidden layers, decay of 1 in Adam and of 50 in AdamW; dropout of 0.5 and decay
    of 0.3 in AdamW fit the batch and learn.

    Would be wrong if: the run learns all the same, over many more steps.

    Not to be confused with: ordinary regularisation, which slows the fit of one batch and does not
    prevent it.

    Treatment: dropout of at most 0.5, decay a hundred times smaller; ask.

    Source: Srivastava et al. 2014, Dropout; Loshchilov & Hutter 2019, Decoupled weight decay.
    """
    case, fit = too_much_regularised(record), record.get(Fit)
    if case is None or fit is None:
        return
    free, decay = fit.variants["free"], max((g.weight_decay for g in groups(record)), default=0.0)
    given = (
        (Evidence(signal=Phrase("weight decay"), value=decay, baseline=0.0),) if decay > 0 else ()
    )
    yield Finding(
        name="over-regularised",
        severity="warn",
        what=Phrase("Dropout or weight decay is so strong that one batch cannot be fitted"),
        evidence=(*case.causes, *given, *case.harms),
        cause=Phrase("The batch is fitted as soon as dropout rests and decay is 0."),
        counterfactual=Phrase(
            "Without dropout and decay the same batch goes from {start} to {end} in {steps} steps.",
            start=f"{free.start:.3g}",
            end=f"{free.end:.3g}",
            steps=free.steps,
        ),
        confidence=0.9,
        wrong_if=Phrase("the run learns all the same, over many more steps"),
        treatments=(
            Treatment(
                name="weaken",
                grade="ask",
                why=Phrase("Take dropout of at most 0.5, and a hundredth of the weight decay."),
                code=f"weight_decay={decay / 100:g}" if decay > 0 else "nn.Dropout(0.3)",
            ),
        ),
    )
