"""The signal grows from layer to layer at the start, or the gradient on its way back."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._scale import finding, growing, names
from netwright.records.findings import Finding
from netwright.records.record import Record


@CONDITIONS.register(
    "weights-too-large",
    reads=Record,
    when="before the first step",
    group="start",
    severity="warn",
    yields_to=("unscaled-input", "symmetric-initialisation"),
)
def weights_too_large(record: Record) -> Iterator[Finding]:
    """The weights begin too large: the signal or the gradient grows from layer to layer.

    Why it hurts: the first outputs are enormous and so are the first gradients; a step that fits
    them is too small for all that comes after.

    Evidence: the product of the gains over the hidden layers beyond 1e3, forward or backward; or
    a layer without a norm whose weights alone have a gain above 8 while the first loss is ten
    times that of guessing. It is a warning where one batch is not fitted at the rate that is set,
    or the run is stuck; else a note.

    Would be wrong if: the run learns as it does with a matched initialiser.

    Not to be confused with: unscaled inputs, where the first layer's input is what is large;
    networks with norms, whose scale of weights does not matter.

    Treatment: an initialiser that fits the activation; safe at the start.

    Source: He et al. 2015, Delving deep into rectifiers; Mishkin & Matas 2016, LSUV.
    """
    found = growing(record)
    if found is None:
        return
    yield from finding(
        record,
        "weights-too-large",
        found,
        Phrase("The weights begin too large ({layers}): signals grow from layer to layer",
               layers=names(found.layers)),
        Phrase("The spread of the weights does not fit their number and the activation."),
    )  # fmt: skip
