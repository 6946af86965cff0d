"""All units of a layer begin equal, and no step can part them."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._start import harm_of_start, judgement, not_trained
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import InitialState
from netwright.records.record import Record


@CONDITIONS.register(
    "symmetric-initialisation",
    reads=Record,
    when="before the first step",
    group="start",
    severity="stop",
)
def symmetric_initialisation(record: Record) -> Iterator[Finding]:
    """All units of a layer have the same weights and get the same gradient.

    Why it hurts: equal units that are pushed equally stay equal. However wide the layer is, it
    computes one number; where the weights are all zero the layers before it get no gradient.

    Evidence: the rows of the weights and of their gradient on the first batch are equal to 1e-4 of
    the largest. It is a stop where the batch cannot be fitted or the run is stuck, else a warning:
    the width that is lost follows from the equality.

    Would be wrong if: noise inside the network (dropout on these very units) parts them; after
    some steps the rows differ.

    Not to be confused with: a softmax regression or a last layer started at zero, whose rows get
    different gradients, nor with residual branches that end in zeros, which wait one step.

    Treatment: a random initialiser, He for ReLU, Xavier for tanh; safe.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4.
    """
    found = judgement(record, "alike")
    state = record.get(InitialState)
    if found is None or state is None:
        return
    layers = [each for each in found.layers if each not in not_trained(record)]
    widths = {each.layer: each.shape[1] for each in state.stages if len(each.shape) > 1}
    width = max((widths.get(each, 0) for each in layers), default=0)
    if width < 2:
        return
    harm = harm_of_start(record)
    yield Finding(
        name="symmetric-initialisation",
        severity="stop" if harm else "warn",
        layers=tuple(layers),
        what=Phrase(
            "{layers}: all {width} units begin equal and get the same gradient",
            layers=listed(layers),
            width=width,
        ),
        evidence=(
            Evidence(
                signal=Phrase("layers whose units have equal weights and equal gradients"),
                value=len(layers),
                baseline=0,
                layer=layers[0],
            ),
            Evidence(
                signal=Phrase("different units among those of the layer, now and after any step"),
                value=1,
                baseline=width,
                witness="harm",
                layer=layers[0],
            ),
            *harm,
        ),
        formula="w_i = w_j and dL/dw_i = dL/dw_j, so w_i = w_j after every step",
        cause=Phrase("The layer was filled with one number, or with zeros."),
        wrong_if=Phrase("the rows of the weights differ after some steps"),
        not_to_be_confused_with=Phrase(
            "a last layer that begins at zero: its units get different gradients"
        ),
        treatments=(
            Treatment(
                name="random-initialiser",
                grade="safe",
                why=Phrase("Draw the weights at random: He for ReLU, Xavier for tanh."),
                code="nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')",
            ),
        ),
    )
