"""Units that answer to no sample at the start, or weights that can get no gradient."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._capacity import outdone
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._start import harm_of_start, judgement, not_trained
from netwright.records.facts.narrow import Narrow
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import MOST_FLAT, InitialState
from netwright.records.record import Record

WHOLE = 0.99
"""Share of a layer's units that is as good as all."""


@CONDITIONS.register(
    "dead-at-start",
    reads=Record,
    when="before the first step",
    group="start",
    severity="stop",
    yields_to=(
        "unscaled-input",
        "weights-too-large",
        "weights-too-small",
        "symmetric-initialisation",
    ),
)
def dead_at_start(record: Record) -> Iterator[Finding]:
    """Most units of a layer are flat on every sample of the first batch.

    Why it hurts: a unit that is flat on all samples gets no gradient, and nothing wakes it. The
    layers before it learn through the others only.

    Evidence: the share of units that are flat on every one of at least 32 values; it is a stop
    where nothing is left alive and the batch cannot be fitted, a warning where the batch is not
    fitted at the rate that is set or the run is stuck; else a note.

    Would be wrong if: other batches wake the units.

    Not to be confused with: sparse ReLUs: half to nine tenths of the values are zero in healthy
    layers, each unit on other samples; a layer that waits for one that starts at zero.

    Treatment: a bias of zero or a little above, He's initialiser, inputs that are scaled; safe.

    Source: He et al. 2015; Lu et al. 2019, Dying ReLU and initialization.
    """
    found = judgement(record, "dead")
    state = record.get(InitialState)
    if found is None or state is None or judgement(record, "alike") is not None:
        return
    frozen = not_trained(record)
    stages = [
        s
        for s in state.stages
        # What squashes on both sides is saturated: `saturated-at-start` tells.
        if s.verdict == "dead" and s.layer not in frozen and not s.squashes
    ]
    share = max((s.dead or 0.0 for s in stages), default=0.0)
    if share <= MOST_FLAT:
        return  # no gradient for another reason: conditions of the wiring tell
    layers = tuple(dict.fromkeys(s.layer for s in stages if (s.dead or 0.0) > MOST_FLAT))
    harm = harm_of_start(record)
    if share <= WHOLE and record.get(Narrow) is not None and outdone(record) is not None:
        return  # of what reads one or two numbers half is flat by chance: `bottleneck` tells
    yield Finding(
        name="dead-at-start",
        severity=("stop" if share > WHOLE else "warn") if harm else "note",
        layers=layers,
        what=Phrase(
            "{layers}: units that answer to no sample before the first step",
            layers=listed(list(layers[:3])),
        ),
        evidence=(
            Evidence(
                signal=Phrase("units that are flat on every sample, in the worst layer"),
                value=share,
                baseline=0.0,
                threshold=MOST_FLAT,
                unit="share",
                layer=layers[0],
            ),
            *harm,
        ),
        formula="f'(x) = 0 for all x of the batch",
        cause=Phrase("What goes into the activation is below zero for all samples."),
        wrong_if=Phrase("other batches wake these units"),
        not_to_be_confused_with=Phrase("sparse units, each of which is zero on most samples"),
        treatments=(
            Treatment(
                name="matched-initialiser",
                grade="safe",
                why=Phrase("Begin with biases of zero and He's spread of the weights."),
                code="nn.init.kaiming_normal_(layer.weight); nn.init.zeros_(layer.bias)",
            ),
            Treatment(
                name="other-activation",
                grade="ask",
                why=Phrase("ReLU or GELU in the hidden layers."),
            ),
        ),
    )
