"""Activations whose scale wanders off by orders of magnitude."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import bad, columns
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.records.facts.layers import Layers
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Times the scale of the first looks.
_FAR = 100.0
_LOOKS = 6


@CONDITIONS.register(
    "internal-drift",
    reads=Record,
    when="in the first steps",
    group="rate",
    severity="warn",
    yields_to=(
        *PROVED, *THROWN, "exploding-gradients", "initial-loss-off", "duplicate-filters",
        "over-regularised",
    ),
)  # fmt: skip
def internal_drift(record: Record) -> Iterator[Finding]:
    """The scale of a hidden layer's outputs drifts by orders of magnitude.

    Why it hurts: the layers behind it were tuned to another scale, and rates that suited it do not
    any longer; half precision overflows in the end.

    Evidence: the root mean square of a hidden layer's outputs in the last looks, against the first
    ones; and steps that raise their own loss, a loss at guessing, or values that are not finite.

    Would be wrong if: the loss falls steadily: then nothing is said.

    Not to be confused with: logits that grow because the network gets surer; layers that start at
    zero on purpose and grow from it.

    Treatment: normalisation, weight decay, a lower rate; ask.

    Source: Ioffe & Szegedy 2015, Batch normalization.
    """
    layers = record.get(Layers)
    harm = bad(record)
    if layers is None or not harm:
        return
    hidden = columns(layers, "activation_rms")[:-1]
    found = [
        (each, each.late / each.early)
        for each in hidden
        if len(each.values) >= _LOOKS and each.early > 1e-6 and each.late > _FAR * each.early
    ]
    if not found:
        return
    worst, times = max(found, key=lambda pair: pair[1])
    yield Finding(
        name="internal-drift",
        severity="warn",
        layers=tuple(each.name for each, _ in found),
        what=Phrase("The outputs of {layer} have grown {times:.2g} times since the first steps",
                    layer=worst.name, times=times),
        evidence=(
            Evidence(
                signal=Phrase("scale of the outputs, against that at first; in {layers}",
                              layers=listed([each.name for each, _ in found])),
                value=worst.late,
                baseline=worst.early,
                threshold=_FAR * worst.early,
                layer=worst.name,
            ),
            *harm,
        ),
        cause=Phrase("Nothing holds the scale of this layer."),
        wrong_if=Phrase("the loss falls steadily all the same"),
        treatments=(
            Treatment(
                name="normalise",
                grade="ask",
                why=Phrase("Normalisation behind this layer, weight decay, or a lower rate."),
            ),
        ),
    )  # fmt: skip
