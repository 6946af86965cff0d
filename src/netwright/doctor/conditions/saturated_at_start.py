"""Units that are flat already at the start, before they have learned anything."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._start import harm_of_start, judgement
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import MOST_FLAT
from netwright.records.record import Record


@CONDITIONS.register(
    "saturated-at-start",
    reads=Record,
    when="before the first step",
    group="start",
    severity="warn",
    yields_to=("unscaled-input", "weights-too-large"),
)
def saturated_at_start(record: Record) -> Iterator[Finding]:
    """Most values of a tanh or sigmoid lie where it is flat, before the first step.

    Why it hurts: where the slope is under 5 % of its steepest next to no gradient passes. The
    layers before it hardly learn.

    Evidence: the share of the layer's values with such a slope, on the first batch. It is a
    warning where one batch is not fitted at the rate that is set, or the run is stuck; else a note.

    Would be wrong if: the layers before it move as fast as the others (relative update).

    Not to be confused with: ReLUs, of which half are always flat; gates, which are meant to close.

    Treatment: smaller weights (Xavier), a bias of zero, inputs that are scaled; safe at the start.

    Source: Glorot & Bengio 2010.
    """
    found = judgement(record, "saturated")
    if found is None:
        return
    harm = harm_of_start(record)
    yield Finding(
        name="saturated-at-start",
        severity="warn" if harm else "note",
        layers=found.layers,
        what=Phrase(
            "{layers}: saturated before the first step", layers=listed(list(found.layers[:3]))
        ),
        evidence=(
            Evidence(
                signal=Phrase("values with a slope under 5 % of the steepest, in the worst layer"),
                value=found.value,
                baseline=0.0,
                threshold=MOST_FLAT,
                unit="share",
                layer=found.layers[0],
            ),
            *harm,
        ),
        formula="|f'(x)| < 0.05 max |f'|",
        cause=Phrase("What goes into the activation is large: weights, biases or inputs."),
        wrong_if=Phrase("the layers before it move as fast as the others"),
        treatments=(
            Treatment(
                name="matched-initialiser",
                grade="safe",
                why=Phrase("Initialise with Xavier's spread and biases of zero."),
                code="nn.init.xavier_normal_(layer.weight); nn.init.zeros_(layer.bias)",
            ),
            Treatment(
                name="other-activation",
                grade="ask",
                why=Phrase("ReLU or GELU in the hidden layers."),
            ),
        ),
    )
