"""Most of a network's parameters in the linear layer that reads a flattened map."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import LINEAR, Graph, is_view, named, sides
from netwright.records.findings import Evidence, Finding, Treatment, amount, percent
from netwright.records.inspection import InspectionRecord, Operation, Shape

_SHARE = 0.5  # most
_FEWEST = 250_000  # a megabyte of float32: below it there is nothing to save


@CONDITIONS.register(
    "parameters-in-one-layer",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def parameters_in_one_layer(record: InspectionRecord) -> Iterator[Finding]:
    """Most parameters stand in one linear layer, which reads a map place by place.

    Why it hurts: memory, downloads and over-fitting; the network takes one size of image only.
    The layer has one weight for every place of every channel.

    Evidence: the layer's share of all parameters, and what is left when each map is averaged to
    one number first (global average pooling).

    Would be wrong if: the place of a feature matters to the task, so that the mean loses it.

    Not to be confused with: a first layer that reads the image itself (a plain MLP), which has no
    map to average.

    Treatment: global average pooling before the layer; ask, for public weights no longer fit.

    Source: Lin, Chen & Yan 2014, Network in network.
    """
    graph = Graph(record)
    for each in record.operations:
        weight = graph.weight(each) if each.name in LINEAR else None
        if weight is None or len(weight.shape) != 2 or weight.numel < _FEWEST:
            continue
        share = weight.numel / record.params
        shape = _flattened(graph, each, weight.shape[1])
        if share <= _SHARE or len(shape) < 3 or math.prod(shape[2:]) < 2:
            continue
        pooled = weight.shape[0] * shape[1]
        left = record.params - weight.numel + pooled
        yield Finding(
            name="parameters-in-one-layer",
            severity="note",
            layers=(each.layer,),
            what=Phrase(
                "{layer} holds {count} of {all} parameters ({share})",
                layer=named(each),
                count=amount(weight.numel),
                all=amount(record.params),
                share=percent(share),
            ),
            evidence=(
                Evidence(
                    signal=Phrase("share of all parameters in {layer}", layer=named(each)),
                    value=share,
                    threshold=_SHARE,
                    unit="share",
                    layer=each.layer,
                ),
                Evidence(
                    signal=Phrase("parameters of the network, now and with global pooling"),
                    value=record.params,
                    baseline=left,
                ),
            ),
            formula=f"{weight.shape[0]} x {shape[1]} x {sides(shape[2:])} against "
            f"{weight.shape[0]} x {shape[1]}",
            cause=Phrase(
                "It reads {places} places of {channels} channels, each with weights of its own.",
                places=math.prod(shape[2:]),
                channels=shape[1],
            ),
            wrong_if=Phrase("where a feature lies matters to the task"),
            treatments=(
                Treatment(
                    name="global-pooling",
                    grade="ask",
                    why=Phrase(
                        "Average each map before the layer: {left} parameters are left.",
                        left=amount(left),
                    ),
                    code="nn.AdaptiveAvgPool2d(1)",
                ),
            ),
        )


def _flattened(graph: Graph, linear: Operation, width: int) -> Shape:
    """The shape of the map that the layer reads flattened; () where it reads none."""
    operation = linear
    while True:
        data = graph.data(operation)
        if len(data) != 1 or data[0] < 0:
            return ()
        shape = graph.shape(data[0])
        if len(shape) > 2 and math.prod(shape[1:]) == width:
            return shape
        made = graph.get(data[0])
        if made is None or not is_view(made):
            return ()
        operation = made
