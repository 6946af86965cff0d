"""A bias that batch normalisation takes away again."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    BATCH_NORMS,
    WEIGHTED,
    Graph,
    is_view,
    layers_of,
    listed,
    named,
)
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation


@CONDITIONS.register(
    "bias-before-batchnorm",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def bias_before_batchnorm(record: InspectionRecord) -> Iterator[Finding]:
    """A layer with a bias is followed by batch normalisation, which subtracts it.

    Why it hurts: hardly. The norm subtracts the mean of each channel and the bias with it, so that
    its gradient is zero but for rounding: dead weight, stored, decayed and stepped.

    Evidence: the graph, where nothing lies between the two and nobody else reads the sum; the
    number of such biases.

    Would be wrong if: the norm does not take the statistics of the batch (it is frozen).

    Not to be confused with: a bias before layer or group normalisation, which subtract a mean
    over several channels, and leave the differences of their biases.

    Treatment: bias=False in the layer: safe for a new network. Public weights that hold the
    biases need them (VGG with norms).

    Source: Ioffe & Szegedy 2015, Batch normalization, sec. 3.2.
    """
    graph = Graph(record)
    dead: list[tuple[Operation, int]] = []
    for norm in record.operations:
        if norm.name not in BATCH_NORMS or _is_frozen(graph, norm):
            continue
        layer, _ = graph.before(norm, is_view)
        bias = graph.bias(layer) if layer is not None and layer.name in WEIGHTED else None
        if layer is not None and bias is not None and bias.trainable:
            dead.append((layer, bias.numel))
    if not dead:
        return
    layers = [each for each, _ in dead]
    yield Finding(
        name="bias-before-batchnorm",
        severity="note",
        layers=layers_of(layers),
        what=Phrase(
            "{layers}: batch normalisation takes the bias away again",
            layers=listed([named(each) for each in layers]),
        ),
        evidence=(
            Evidence(
                signal=Phrase("biases without effect, in {layers} layers", layers=len(layers)),
                value=sum(count for _, count in dead),
                baseline=0,
            ),
        ),
        formula="(x + b) - mean(x + b) = x - mean(x)",
        cause=Phrase("The norm subtracts the mean of each channel, and the bias is part of it."),
        wrong_if=Phrase("the norm is frozen and does not take the statistics of the batch"),
        treatments=(
            Treatment(
                name="drop-bias",
                grade="safe",
                why=Phrase("Give these layers bias=False, unless public weights need them."),
                code="bias=False",
            ),
        ),
    )


def _is_frozen(graph: Graph, norm: Operation) -> bool:
    facts = graph.parameters(norm)
    return bool(facts) and not any(each.trainable for each in facts)
