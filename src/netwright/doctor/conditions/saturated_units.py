"""Squashing activations at the ends of their range."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import Column, bad, columns, layer_of
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.records.facts.layers import Layers
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Share of a hidden layer's outputs that lie at the ends.
_MOST = 0.5
_RISEN = 0.1


@CONDITIONS.register(
    "saturated-units",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="warn",
    yields_to=(*PROVED, *THROWN, "initial-loss-off", "bottleneck", "noisy-gradients"),
)
def saturated_units(record: Record) -> Iterator[Finding]:
    """Hidden units with tanh or sigmoid stand at the ends of their range, more and more of them.

    Why it hurts: at the ends the curve is flat: less than two hundredths of the gradient pass.

    Evidence: the share of a hidden layer's outputs beyond 0.99 of tanh, or outside 0.01 to 0.99 of
    sigmoid, at first and now; and a loss at guessing, a batch that cannot be fitted, steps that
    raise their own loss.

    Would be wrong if: these are gates that are meant to be open or shut, and the loss falls.

    Not to be confused with: the last activation of a network, which stands at its ends because it
    is sure.

    Treatment: an initialiser to match the activation, a smaller scale before it, ReLU or GELU; ask.

    Source: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural
    networks.
    """
    layers = record.get(Layers)
    if layers is None:
        return
    last = len(layers.names) - 1
    found: list[Column] = []
    for each in columns(layers, "flat_share", activations=True):
        hidden = layers.names.index(each.name) < last
        if hidden and each.late > _MOST and (each.late > each.early + _RISEN or each.early > _MOST):
            found.append(each)
    harm = bad(record)
    if not found or not harm:
        return
    worst = max(found, key=lambda each: each.late)
    names = tuple(layer_of(each.name) for each in found)
    yield Finding(
        name="saturated-units",
        severity="warn",
        layers=names,
        what=Phrase("{share:.0%} of the outputs of {layer} stand at the ends of its {kind}",
                    share=worst.late, layer=layer_of(worst.name), kind=worst.kind),
        evidence=(
            Evidence(
                signal=Phrase("outputs at the ends, at first {early:.0%}; in {layers}",
                              early=worst.early, layers=listed(list(names))),
                value=worst.late,
                baseline=worst.early,
                threshold=_MOST,
                unit="share",
                layer=layer_of(worst.name),
            ),
            *harm,
        ),
        formula="tanh'(x) = 1 - tanh(x)^2 < 0.02 where |tanh(x)| > 0.99",
        cause=Phrase("What goes into the activation is many times its useful range."),
        wrong_if=Phrase("these are gates that are meant to be open or shut"),
        treatments=(
            Treatment(
                name="match-scale",
                grade="ask",
                why=Phrase("Xavier initialisation, or normalisation before the activation."),
            ),
            Treatment(
                name="other-activation",
                grade="ask",
                why=Phrase("ReLU or GELU in the hidden layers."),
            ),
        ),
    )  # fmt: skip
