"""Two linear maps with nothing between them: together they are one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import (
    AVERAGES,
    BATCH_NORMS,
    CONVOLUTIONS,
    LINEAR,
    WEIGHTED,
    Graph,
    is_dense,
    is_view,
    listed,
    named,
)
from netwright.records.facts.affinity import Affinity
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import InitialState
from netwright.records.inspection import InspectionRecord, Operation
from netwright.records.record import Record

AFFINE = 1e-5
"""What of the differences may be left of rounding: 1e-7 was measured for three linear layers, 1
for networks with activations."""

# What is affine in its one input, whatever that is; a name that is not here may be anything.
_AFFINE = WEIGHTED | BATCH_NORMS | AVERAGES | {
    "add", "sub", "neg", "cat", "concat", "stack", "sum", "pad", "chunk", "split", "getitem",
    "select", "narrow", "unbind", "flip", "roll", "pixel_shuffle", "pixel_unshuffle", "unfold",
}  # fmt: skip


@CONDITIONS.register(
    "missing-nonlinearity",
    reads=InspectionRecord | Record,
    when="before the first step",
    group="structure",
    severity="warn",
    yields_to=("symmetric-initialisation", "constant-input", "dead-at-start"),
)
def missing_nonlinearity(record: InspectionRecord | Record) -> Iterator[Finding]:
    """Two linear maps follow each other with no activation between them.

    Why it hurts: B(Ax) = (BA)x: the two compute what one map computes. The depth is there in the
    table and in the time of a step, not in what the network can express.

    Evidence: the graph. Between the two lies nothing but views, dropout, averages and batch
    normalisation, which is affine for one image; nobody else reads what lies between; the middle
    is not narrower than both ends. It is a warning where one map needs no more weights than the
    two, and where the whole network is affine in its input; else a note. In a live network it is
    tried: f(a) + f(b) = 2 f((a + b) / 2) to 1e-5 of |f(a) - f(b)|, on the samples of a batch.

    Would be wrong if: a function that the inspection does not see acts between the two.

    Not to be confused with: a narrow middle (the linear bottleneck of MobileNetV2, low-rank
    factors, LoRA), depthwise before pointwise, 1xk before kx1: factors that save weights, and are
    left alone. Nor with two maps that meet in a sum or a concatenation.

    Treatment: an activation between the two; it changes the experiment: ask.

    Source: Sandler et al. 2018, MobileNetV2, on where no activation belongs.
    """
    if isinstance(record, Record):
        yield from _tried(record)
        return
    graph = Graph(record)
    maps = [e for e in record.operations if e.name in WEIGHTED and e.number in graph.reached]
    whole = [e for e in maps if e.number in graph.live]
    # A network that branches on values bends there, whatever its operations are.
    if (
        not record.concrete
        and all(_is_affine(graph, e) for e in record.operations if e.number in graph.live)
        and _follow_each_other(graph, whole)
    ):
        yield _affine_network(whole)
        return
    for second in maps:
        first, between = graph.before(second, _passes)
        if first is not None and _is_mergeable(graph, first, second):
            averaged = any(each.name in AVERAGES for each in between)
            yield _pair(graph, first, second, averaged=averaged)


def _tried(record: Record) -> Iterator[Finding]:
    """What the probe of a live network adds: nothing bends, whatever its graph looks like."""
    tried, inspection = record.get(Affinity), record.get(InspectionRecord)
    seen = list(missing_nonlinearity(inspection)) if inspection is not None else []
    if tried is None or not tried.span > 0 or tried.share > AFFINE or len(tried.layers) < 2:
        yield from seen
        return
    evidence = Evidence(
        signal=Phrase(
            "|f(a) + f(b) - 2 f((a + b) / 2)| over |f(a) - f(b)|, on {pairs} pairs of samples",
            pairs=tried.pairs,
        ),
        value=tried.share,
        baseline=1.0,
        threshold=AFFINE,
    )
    whole = [each for each in seen if each.formula == _AFFINE_FORMULA]
    if whole:
        yield dataclasses.replace(whole[0], evidence=(evidence, *whole[0].evidence))
        return
    state = record.get(InitialState)
    widths = [s.shape[1] for s in state.stages if len(s.shape) > 1] if state is not None else []
    narrow = bool(widths) and min(widths[:-1], default=0) < widths[-1]
    found = _affine_network_of(list(tried.layers))
    yield dataclasses.replace(
        found,
        # A narrow middle makes a map of low rank: that may be what is wanted.
        severity="note" if narrow else "warn",
        evidence=(evidence, *found.evidence[1:]),
    )


def _passes(operation: Operation) -> bool:
    return is_view(operation) or operation.name in AVERAGES | BATCH_NORMS


def _is_mergeable(graph: Graph, first: Operation, second: Operation) -> bool:
    """Whether the two are dense maps, and the middle is not narrower than both ends."""
    if second.name in CONVOLUTIONS:
        if not (is_dense(first) and is_dense(second)) or _factors_axes(graph, first, second):
            return False
    elif second.name not in LINEAR or not (first.name in LINEAR or is_dense(first)):
        return False
    start, middle, _ = graph.channels(first)
    end = graph.channels(second)[1]
    return middle > 0 and middle >= min(start, end)


def _factors_axes(graph: Graph, first: Operation, second: Operation) -> bool:
    """1xk before kx1: no axis on which both are wider than 1, and both are wide somewhere."""
    one, two = graph.kernel(first), graph.kernel(second)
    if not one or len(one) != len(two):
        return True
    apart = all(min(pair) == 1 for pair in zip(one, two, strict=True))
    return apart and max(one) > 1 and max(two) > 1


def _weights_of_one(
    graph: Graph, first: Operation, second: Operation, *, averaged: bool
) -> int | None:
    """The weights of the one map that does what both do; None where it is not of their kind."""
    (start, middle, _), end = graph.channels(first), graph.channels(second)[1]
    if first.name in LINEAR:
        return start * end
    if second.name in LINEAR:  # the same kernels, with other output channels, then the average
        return _numel(graph, first) // middle * end if averaged else None
    one, two = graph.windows(first), graph.windows(second)
    if averaged or len(one) != len(two):
        return None
    sides = (a.span + (b.span - 1) * a.stride for a, b in zip(one, two, strict=True))
    return start * end * math.prod(sides)


def _numel(graph: Graph, operation: Operation) -> int:
    weight = graph.weight(operation)
    if weight is not None:
        return weight.numel
    start, end, groups = graph.channels(operation)
    return start * end * math.prod(graph.kernel(operation)) // max(1, groups)


def _pair(graph: Graph, first: Operation, second: Operation, *, averaged: bool) -> Finding:
    start, middle, _ = graph.channels(first)
    end = graph.channels(second)[1]
    both = _numel(graph, first) + _numel(graph, second)
    one = _weights_of_one(graph, first, second, averaged=averaged)
    evidence = [
        Evidence(
            signal=Phrase(
                "activations between {first} and {second}", first=named(first), second=named(second)
            ),
            value=0,
            baseline=1,
        )
    ]
    if one is not None and one <= both:
        evidence.append(
            Evidence(
                signal=Phrase("weights of the two, and of the one map that does the same"),
                value=both,
                baseline=one,
                witness="harm",
            )
        )
    return Finding(
        name="missing-nonlinearity",
        severity="warn" if len(evidence) > 1 else "note",
        layers=(first.layer, second.layer),
        what=Phrase(
            "{first} and {second} follow each other with no activation between them",
            first=named(first),
            second=named(second),
        ),
        evidence=tuple(evidence),
        formula=f"B(Ax) = (BA)x, {start} to {middle} to {end}",
        cause=Phrase(
            "Two linear maps in a row are one, and the {middle} channels between are not fewer "
            "than {least} at the narrower end.",
            middle=middle,
            least=min(start, end),
        ),
        wrong_if=Phrase("a function that the inspection does not see acts between the two"),
        treatments=(_ACTIVATION,),
    )


def _affine_network(maps: list[Operation]) -> Finding:
    found = _affine_network_of([named(each) for each in maps])
    return dataclasses.replace(found, layers=tuple(dict.fromkeys(each.layer for each in maps)))


def _affine_network_of(maps: list[str]) -> Finding:
    names = listed(maps)
    return Finding(
        name="missing-nonlinearity",
        severity="warn",
        layers=tuple(dict.fromkeys(maps)),
        what=Phrase("The whole network is one linear map: nothing in it is non-linear"),
        evidence=(
            Evidence(
                signal=Phrase("non-linear operations from the input to the output"),
                value=0,
                baseline=1,
            ),
            Evidence(
                signal=Phrase("layers with weights, which do what one layer does: {names}",
                              names=names),
                value=len(maps),
                baseline=1,
                witness="harm",
            ),
        ),
        formula=_AFFINE_FORMULA,
        cause=Phrase("Linear maps, one after the other, are one linear map."),
        wrong_if=Phrase("f(a) + f(b) differs from 2 f((a + b) / 2) for two images a and b"),
        treatments=(_ACTIVATION,),
    )  # fmt: skip


_AFFINE_FORMULA = "f(a) + f(b) = 2 f((a + b) / 2)"

_ACTIVATION = Treatment(
    name="insert-activation",
    grade="ask",
    why=Phrase("Put an activation such as nn.ReLU() between the two."),
)


def _follow_each_other(graph: Graph, maps: list[Operation]) -> bool:
    """Whether one of the maps reads, through whatever lies between, what another made."""
    numbers, behind = {each.number for each in maps}, set[int]()
    for each in graph.operations:
        after = any(n in numbers or n in behind for n in each.inputs)
        if after and each.number in numbers:
            return True
        if after:
            behind.add(each.number)
    return False


def _is_affine(graph: Graph, operation: Operation) -> bool:
    if operation.number not in graph.reached:
        return True
    return operation.ruled and (is_view(operation) or operation.name in _AFFINE)
