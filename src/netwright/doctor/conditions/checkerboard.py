"""Transposed convolutions that give neighbouring pixels unequal shares."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    TRANSPOSED,
    Graph,
    Window,
    layers_of,
    listed,
    named,
    sides,
)
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.inspection import InspectionRecord, Operation


@CONDITIONS.register(
    "checkerboard",
    reads=InspectionRecord,
    when="before the first step",
    group="structure",
    severity="warn",
)
def checkerboard(record: InspectionRecord) -> Iterator[Finding]:
    """A transposed convolution whose kernel is not a multiple of its stride.

    Why it hurts: each output pixel is the sum of what overlapping kernels write to it, and some
    get more terms than others: a pattern of squares that the weights must learn to undo.

    Evidence: terms a pixel gets, by its phase under the stride: most against fewest, multiplied
    over the axes (k=3, s=2: 4 against 1). It is a warning where a phase gets none at all, for such
    pixels hold the bias alone; a note else.

    Would be wrong if: the following kernels, at least as wide as the stride, even it out.

    Not to be confused with: a pattern from max-pooling's gradient, which has the same look.

    Treatment: a kernel that is a multiple of the stride (2 and 2, 4 and 2), or resizing followed
    by a convolution; ask.

    Source: Odena, Dumoulin & Olah 2016, Deconvolution and checkerboard artifacts.
    """
    graph = Graph(record)
    found: list[tuple[Operation, list[list[int]]]] = []
    for each in record.operations:
        if each.name in TRANSPOSED and each.number in graph.reached:
            terms = [_terms(window) for window in graph.windows(each)]
            if any(min(axis) != max(axis) for axis in terms):
                found.append((each, terms))
    empty = [pair for pair in found if any(min(axis) == 0 for axis in pair[1])]
    uneven = [pair for pair in found if pair not in empty]
    for pairs in (empty, uneven):
        if pairs:
            yield _finding(graph, pairs, holes=pairs is empty)


def _terms(window: Window) -> list[int]:
    """How many taps fall on each phase of the output."""
    phases = [0] * window.stride
    for tap in range(window.kernel):
        phases[tap * window.dilation % window.stride] += 1
    return phases


def _finding(
    graph: Graph, pairs: list[tuple[Operation, list[list[int]]]], *, holes: bool
) -> Finding:
    first, terms = pairs[0]
    most, fewest, blank = 1, 1, 1.0
    for axis in terms:
        most *= max(axis)
        fewest *= min(axis)
        blank *= 1 - axis.count(0) / len(axis)
    windows = graph.windows(first)
    kernel = sides(tuple(each.kernel for each in windows))
    stride = sides(tuple(each.stride for each in windows))
    evidence = [
        Evidence(
            signal=Phrase("terms of a pixel in {layer}, most against fewest", layer=named(first)),
            value=most,
            baseline=fewest,
            layer=first.layer,
        )
    ]
    if holes:
        evidence.append(
            Evidence(
                signal=Phrase("pixels of its output that get no term"),
                value=1 - blank,
                baseline=0,
                unit="share",
                witness="harm",
                layer=first.layer,
            )
        )
    return Finding(
        name="checkerboard",
        severity="warn" if holes else "note",
        layers=layers_of([each for each, _ in pairs]),
        what=Phrase(
            "{layers}: a kernel of {kernel} under a stride of {stride} writes pixels unequally "
            "often",
            layers=listed([named(each) for each, _ in pairs]),
            kernel=kernel,
            stride=stride,
        ),
        evidence=tuple(evidence),
        formula="terms of phase r: taps t with t x dilation = r modulo stride",
        cause=Phrase(
            "{kernel} is not a multiple of {stride} on every axis.", kernel=kernel, stride=stride
        ),
        wrong_if=Phrase("the kernels that follow are as wide as the stride and even it out"),
        treatments=(
            Treatment(
                name="divisible-kernel",
                grade="ask",
                why=Phrase(
                    "Take a kernel that is a multiple of the stride, or resize and convolve."
                ),
            ),
        ),
    )
