"""Units that are zero on every sample."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._flow import bad, layer_of
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._roots import PROVED, THROWN
from netwright.records.facts.layers import Layers
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Samples on all of which a unit must have been silent.
_SAMPLES = 1000
# Share of a layer's units, or a share that has risen by so much.
_MOST, _RISEN = 0.5, 0.25


@CONDITIONS.register(
    "dead-relu",
    reads=Record,
    when="in the first steps",
    group="start",
    severity="stop",
    yields_to=(*PROVED, *THROWN, "initial-loss-off", "bottleneck"),
)
def dead_relu(record: Record) -> Iterator[Finding]:
    """Units of a layer are zero on every sample that came by.

    Why it hurts: such a unit passes nothing on and gets no gradient, so it stays so; with a layer
    that is all dead the network gives one answer to everything.

    Evidence: units that were 0 on every one of at least 1,000 samples of training, as a share of
    their layer; more than half of it, or a share that has risen by a quarter.

    Would be wrong if: the units answer to samples that did not come by, of a rare kind.

    Not to be confused with: sparse answers: a unit that is 0 on nine samples of ten is alive and
    well.

    Treatment: a lower rate, the dead units drawn anew, a small positive bias, leaky ReLU or ELU;
    ask.

    Source: Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models;
    Lu et al. 2020, Dying ReLU and initialization.
    """
    layers = record.get(Layers)
    if layers is None:
        return
    found: list[tuple[str, float, float, float]] = []
    for place, name in enumerate(layers.names):
        if ":" not in name or "#" in name:
            continue
        full = layers.window_samples[:, place] >= _SAMPLES
        dead = layers.dead_share[full, place]
        if not len(dead):
            continue
        first, latest = float(dead[0]), float(dead[-1])
        if latest > _MOST or latest - first > _RISEN:
            found.append((name, latest, first, float(layers.window_samples[full, place][-1])))
    if not found:
        return
    worst = max(found, key=lambda each: each[1])
    harm = bad(record)
    whole = worst[1] >= 1.0
    names = tuple(layer_of(each[0]) for each in found)
    severity = ("stop" if whole else "warn") if harm else "note"
    yield Finding(
        name="dead-relu",
        severity=severity,  # type: ignore[arg-type]
        layers=names,
        step=int(layers.step[-1]) if len(layers.step) else None,
        what=Phrase("{share:.0%} of the units behind {layer} are dead",
                    share=worst[1], layer=layer_of(worst[0])),
        evidence=(
            Evidence(
                signal=Phrase("units that were 0 on all of {count} samples, at first {first:.0%}",
                              count=int(worst[3]), first=worst[2]),
                value=worst[1],
                baseline=0.0,
                threshold=_MOST,
                unit="share",
                layer=layer_of(worst[0]),
            ),
            Evidence(
                signal=Phrase("layers of which this holds: {layers}",
                              layers=listed(list(dict.fromkeys(names)))),
                value=len(found),
                baseline=0,
            ),
            *harm,
        ),
        cause=Phrase("Their inputs are negative for every sample, so that no gradient moves them."),
        wrong_if=Phrase("they answer to samples that did not come by"),
        not_to_be_confused_with=Phrase("units that are 0 on most samples and answer to some"),
        treatments=(
            Treatment(
                name="revive",
                grade="ask",
                why=Phrase("Draw the dead units anew by He, with biases of zero."),
            ),
            Treatment(
                name="lower-rate",
                grade="ask",
                why=Phrase("A lower rate: one large step is enough to kill a unit."),
            ),
            Treatment(
                name="leaky",
                grade="ask",
                why=Phrase("Leaky ReLU or ELU, whose gradient is nowhere 0."),
            ),
        ),
    )  # fmt: skip
