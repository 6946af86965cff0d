"""A kernel wider than the map it runs over: most of it multiplies padding."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    CONVOLUTIONS,
    Graph,
    Window,
    layers_of,
    listed,
    named,
    sides,
)
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.inspection import InspectionRecord, Operation

# A tenth of the network that cannot learn is more than an effect of the rim.
_IDLE_SHARE = 0.1


@CONDITIONS.register(
    "tiny-feature-map",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="warn",
)
def tiny_feature_map(record: InspectionRecord) -> Iterator[Finding]:
    """A convolution runs over a map that is smaller than its kernel.

    Why it hurts: taps that lie on padding multiply zeros. Over a map of 1x1 a padded 3x3 kernel
    meets one pixel with its middle: eight of nine weights are read, never matter, and get no
    gradient. The strides before it have thrown away where things were.

    Evidence: for each axis the taps that read the map, counted over all positions; the weights
    that meet a pixel at no position, as a share of the network. It is a warning from a tenth of
    all parameters on, a note below.

    Would be wrong if: the network is used with larger images than those of the inspection.

    Not to be confused with: a kernel without padding that just covers the map (C5 of LeNet-5),
    which is a linear layer in another form, and global pooling.

    Treatment: fewer strides before it, such as the small stem of a network that was made for
    photographs, or larger images. Both change the experiment: ask.

    Source: Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning.
    """
    graph = Graph(record)
    found: list[tuple[Operation, tuple[Window, ...]]] = []
    for each in record.operations:
        windows = graph.windows(each) if each.name in CONVOLUTIONS else ()
        # A large dilation may leave the map on purpose; not so that taps leave it for good.
        wide = any(w.kernel > w.side or (w.span > w.side and w.used < 1) for w in windows)
        if wide and math.prod(w.real for w in windows) < 1:
            found.append((each, windows))
    if not found:
        return
    worst, windows = min(found, key=lambda pair: math.prod(w.real for w in pair[1]))
    idle = sum(_weights(graph, each) * (1 - math.prod(w.used for w in ws)) for each, ws in found)
    padded = sum(each.macs * (1 - math.prod(w.real for w in ws)) for each, ws in found)
    share = idle / record.params if record.params else 0.0
    operations = [each for each, _ in found]
    names = [named(each) for each in operations]
    shrunk = [w.side for w in windows]
    yield Finding(
        name="tiny-feature-map",
        severity="warn" if share >= _IDLE_SHARE else "note",
        layers=layers_of(operations),
        what=Phrase(
            "{layers}: the map is {map}, smaller than the kernel of {kernel}"
            if len(found) == 1
            else "{layers}: the map is smaller than the kernel, at the worst {map} under {kernel}",
            layers=listed(names),
            map=sides(tuple(shrunk)),
            kernel=sides(tuple(w.span for w in windows)),
        ),
        evidence=(
            Evidence(
                signal=Phrase(
                    "taps of {layer} that read the map and not its padding", layer=named(worst)
                ),
                value=math.prod(w.real for w in windows),
                baseline=1,
                unit="share",
                layer=worst.layer,
            ),
            Evidence(
                signal=Phrase("multiply-adds of these layers that multiply padding"),
                value=padded / max(1, sum(each.macs for each in operations)),
                baseline=0,
                unit="share",
            ),
            Evidence(
                signal=Phrase(
                    "{count} weights never meet a pixel and cannot learn; share of the network",
                    count=amount(idle),
                ),
                value=share,
                threshold=_IDLE_SHARE,
                unit="share",
                witness="harm",
            ),
        ),
        formula="real taps / (positions x kernel), by axis, multiplied",
        cause=Phrase(
            "The strides before {layer} shrink the input of {input} to {map}.",
            layer=named(worst),
            input=sides(_input_sides(record, graph, worst)),
            map=sides(tuple(shrunk)),
        ),
        wrong_if=Phrase("the network is meant for larger images than those inspected here"),
        treatments=(
            Treatment(
                name="fewer-strides",
                grade="ask",
                why=Phrase(
                    "Leave out the first strides (model.stem=small where there is one), "
                    "or take larger images."
                ),
            ),
        ),
    )


def _weights(graph: Graph, operation: Operation) -> int:
    weight = graph.weight(operation)
    return weight.numel if weight is not None else 0


def _input_sides(record: InspectionRecord, graph: Graph, operation: Operation) -> tuple[int, ...]:
    """The spatial sides of the input, or of what the operation reads where none is tracked."""
    axes = len(graph.windows(operation))
    tracked = [
        record.inputs[number][dim]
        for number, dim in record.spatial
        if number < len(record.inputs) and dim < len(record.inputs[number])
    ]
    return tuple(tracked[:axes]) or graph.source(operation)[-axes:]
