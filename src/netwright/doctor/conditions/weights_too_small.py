"""The signal dies away from layer to layer at the start, or the gradient on its way back."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._scale import finding, names, shrinking
from netwright.doctor.conditions._start import judgement
from netwright.records.findings import Finding
from netwright.records.record import Record


@CONDITIONS.register(
    "weights-too-small",
    reads=Record,
    when="before the first step",
    group="start",
    severity="warn",
    yields_to=("unscaled-input", "symmetric-initialisation", "saturated-at-start"),
)
def weights_too_small(record: Record) -> Iterator[Finding]:
    """The weights begin too small: the signal or the gradient fades from layer to layer.

    Why it hurts: all inputs give nearly the same output, and the gradient of the first layers is
    next to nothing; the loss stays at that of guessing for a long time.

    Evidence: the product of the gains over the hidden layers under 1e-3, forward or backward; or a
    hidden layer without a norm whose weights alone have a gain under 0.05. It is a warning where
    one batch is not fitted at the rate that is set, or the run is stuck; else a note.

    Would be wrong if: the run learns as it does with a matched initialiser.

    Not to be confused with: a small or zero last layer, or a residual branch that ends in zeros:
    both are meant so, and left out here.

    Treatment: an initialiser that fits the activation; safe at the start.

    Source: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural
    networks.
    """
    found = shrinking(record)
    if found is None or judgement(record, "alike") or judgement(record, "saturated"):
        return
    yield from finding(
        record,
        "weights-too-small",
        found,
        Phrase("The weights begin too small ({layers}): signals fade from layer to layer",
               layers=names(found.layers)),
        Phrase("The spread of the weights does not fit their number and the activation."),
    )  # fmt: skip
