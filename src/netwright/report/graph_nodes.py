"""The graph of a network in so many boxes as a reader can take in.

An operation is a box; what only carries on the result of one other (a norm, an activation) goes
into its box, and so do views. A network with more boxes than fit is folded by its modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netwright.records.inspection import (
    AxisField,
    InspectedLayer,
    InspectionRecord,
    Operation,
    Shape,
)

MOST_BOXES = 64


@dataclass(frozen=True, kw_only=True)
class Node:
    """One box: its operations by number, and what is written in it. Inputs have no operations."""

    title: str
    kinds: tuple[str, ...]
    layers: tuple[str, ...]
    """Paths of the modules in it."""
    output: Shape
    macs: int
    params: int
    fields: tuple[AxisField, ...]
    role: str
    """`input`, `product` (it multiplies and adds), `join` (of several tensors), `other`."""
    operations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    """Pairs of indices into `nodes`; every edge leads from an earlier box to a later one."""


def graph(record: InspectionRecord, *, most: int = MOST_BOXES) -> Graph:
    """The boxes of a network and the edges between them, `most` boxes where folding allows it."""
    deepest = max((each.depth for each in record.layers), default=0)
    folded: dict[int, int] = {}
    found = _grouped(record, folded)
    for depth in range(deepest, 0, -1):
        if len(set(found)) <= most:
            break
        folded = _calls_at(record, depth)
        found = _grouped(record, folded)
    return _made(record, found, folded)


def _calls_at(record: InspectionRecord, depth: int) -> dict[int, int]:
    """Operation -> index of the container's call at `depth` that it ran in, where there is one."""
    held: dict[int, int] = {}
    for index, layer in enumerate(record.layers):
        if layer.depth == depth and not layer.leaf:
            for number in range(*layer.operations):
                held.setdefault(number, index)
    return held


def _grouped(record: InspectionRecord, folded: Mapping[int, int]) -> list[int]:
    """For each operation the first operation of its box."""
    operations = record.operations
    readers: dict[int, int] = {}
    for each in operations:
        for source in each.inputs:
            readers[source] = readers.get(source, 0) + 1
    begun: dict[int, int] = {}
    box: list[int] = []
    for each in operations:
        number = each.number
        if number in folded:
            box.append(begun.setdefault(folded[number], number))
            continue
        sources = [source for source in each.inputs if source >= 0]
        if len(each.inputs) == 1 and len(sources) == 1 and _follows(each, operations[sources[0]]):
            only = readers[sources[0]] == 1
            box.append(box[sources[0]] if only or each.view else number)
        else:
            box.append(number)
    return box


def _follows(operation: Operation, source: Operation) -> bool:
    """Whether it carries on the result of one other, and is no box of its own."""
    if operation.view:
        return True
    return not operation.macs and operation.output == source.output


def _made(record: InspectionRecord, box: Sequence[int], folded: Mapping[int, int]) -> Graph:
    members: dict[int, list[int]] = {}
    for number, first in enumerate(box):
        members.setdefault(first, []).append(number)
    layer_of = {layer.name: layer for layer in record.layers}
    nodes = [_input(record, number) for number in range(len(record.inputs))]
    place: dict[int, int] = {-1 - number: number for number in range(len(record.inputs))}
    for first in sorted(members):
        place[first] = len(nodes)
        whole = record.layers[folded[first]] if first in folded else None
        inside = [record.operations[n] for n in members[first]]
        nodes.append(_node(record, inside, layer_of, whole))
    edges: dict[tuple[int, int], None] = {}
    for each in record.operations:
        here = place[box[each.number]]
        for source in each.inputs:
            there = place.get(box[source] if source >= 0 else source)
            if there is not None and there != here:
                edges[(there, here)] = None
    return _connected(nodes, [each for each in edges if each[0] < each[1]])


def _connected(nodes: Sequence[Node], edges: Sequence[tuple[int, int]]) -> Graph:
    """Without what nothing reads and what reads nothing: a constant that was made and dropped."""
    ends = {each for edge in edges for each in edge}
    kept = [k for k, node in enumerate(nodes) if k in ends or node.macs or len(nodes) == 1]
    new = {old: number for number, old in enumerate(kept)}
    return Graph(
        nodes=tuple(nodes[k] for k in kept),
        edges=tuple((new[a], new[b]) for a, b in edges),
    )


def _input(record: InspectionRecord, number: int) -> Node:
    return Node(
        title="input" if len(record.inputs) == 1 else f"input {number + 1}",
        kinds=(),
        layers=(),
        output=record.inputs[number],
        macs=0,
        params=0,
        fields=(),
        role="input",
    )


def _node(
    record: InspectionRecord,
    operations: Sequence[Operation],
    layer_of: Mapping[str, InspectedLayer],
    whole: InspectedLayer | None,
) -> Node:
    """The box of some operations; `whole` is the call of a container that was folded into it."""
    working = [each for each in operations if not each.view] or list(operations)
    paths = list(dict.fromkeys(each.layer for each in working))
    title = _common([each for each in paths if each]) if len(paths) > 1 else paths[0]
    if whole is not None:
        title = whole.name
    elif working[0].macs:  # "layer1.0.conv1" says more than "layer1.0"
        title = working[0].layer
    sources = {source for each in operations for source in each.inputs}
    joined = len(working[0].inputs) > 1 and not working[0].macs and whole is None
    return Node(
        title=title,
        kinds=(whole.kind,) if whole else tuple(dict.fromkeys(_word(each) for each in working)),
        layers=tuple(path for path in paths if path in layer_of),
        output=operations[-1].output,
        macs=sum(each.macs for each in operations),
        params=_params(record, operations),
        fields=operations[-1].fields,
        role="join"
        if joined and len(sources) > 1
        else "product"
        if any(each.macs for each in operations)
        else "other",
        operations=tuple(each.number for each in operations),
    )


def _params(record: InspectionRecord, operations: Sequence[Operation]) -> int:
    used = {name for each in operations for name in each.weights}
    return sum(fact.numel for fact in record.parameters if used & set(fact.paths))


def _word(operation: Operation) -> str:
    """`conv2d 3x3 /2`: kernel and stride tell convolutions and poolings apart."""
    told = dict(operation.options)
    kernel = told.get("kernel") or told.get("kernel_size")
    stride = told.get("stride")
    words = [operation.name]
    if isinstance(kernel, list | tuple) and kernel:
        words.append("x".join(map(str, kernel)))
    if isinstance(stride, list | tuple) and any(each != 1 for each in stride):
        words.append("/" + "x".join(map(str, dict.fromkeys(stride))))
    return " ".join(words)


def _common(paths: Sequence[str]) -> str:
    """The longest path that all are within."""
    parts = [each.split(".") for each in paths]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)
