"""Features that see a small part of the image before they are averaged."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    CONVOLUTIONS,
    GLOBAL_POOLS,
    Graph,
    named,
    sides,
)
from netwright.doctor.conditions._sight import last_map
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation

# What truly counts is about half of the field (Luo et al. 2016): below half of the image no unit
# sees more than a quarter of its side well.
_SHARE = 0.5


@CONDITIONS.register(
    "receptive-field-too-small",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="note",
)
def receptive_field_too_small(record: InspectionRecord) -> Iterator[Finding]:
    """The last features see less than half of the image, and then they are averaged.

    Why it hurts: the mean over a map forgets where things were. What is larger than the field is
    never seen whole, so that its parts are counted and not how they lie together.

    Evidence: the receptive field of the last map before the global pool, along each axis, against
    half of the input's side.

    Would be wrong if: what tells the classes apart is smaller than the field, as in textures.

    Not to be confused with: a map that a linear layer reads place by place (LeNet-5), which puts
    the parts together, and networks from image to image, where local is enough.

    Treatment: deeper, or earlier strides, or dilation; ask.

    Source: Luo et al. 2016, Understanding the effective receptive field; Brendel & Bethge 2019,
    BagNets, on how far local features reach.
    """
    graph = Graph(record)
    last = last_map(record, graph)
    if last is None or last.joined_by is None or last.joined_by.name not in GLOBAL_POOLS:
        return
    if any(_looks_around(graph, each) for each in record.operations[last.joined_by.number :]):
        return  # the average is a gate (squeeze-and-excitation): the maps go on
    shares = [size / side for size, side in zip(last.sizes, last.input_sides, strict=True)]
    if max(shares) >= _SHARE:
        return
    yield Finding(
        name="receptive-field-too-small",
        severity="note",
        layers=(last.operation.layer,),
        what=Phrase(
            "The features of {layer} see {field} of {image} pixels and are then averaged",
            layer=named(last.operation),
            field=sides(last.sizes),
            image=sides(last.input_sides),
        ),
        evidence=(
            Evidence(
                signal=Phrase("receptive field, as a share of the image's side"),
                value=max(shares),
                threshold=_SHARE,
                unit="share",
                layer=last.operation.layer,
            ),
        ),
        formula="r = 1 + sum((k - 1) d x strides before)",
        cause=Phrase("Kernels and strides up to {layer} add up to no larger field.",
                     layer=named(last.operation)),
        wrong_if=Phrase("what tells the classes apart is smaller than the field"),
        treatments=(
            Treatment(
                name="widen-field",
                grade="ask",
                why=Phrase("Add layers, stride earlier, or dilate: netwright calc receptive-field "
                           "counts what each gives."),
            ),
        ),
    )  # fmt: skip


def _looks_around(graph: Graph, operation: Operation) -> bool:
    return operation.name in CONVOLUTIONS and max(graph.kernel(operation), default=1) > 1
