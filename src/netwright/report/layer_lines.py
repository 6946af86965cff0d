"""Which lines the table of an inspection has: the tree of layers, cut at a depth.

A cut loses nothing: what a container computes itself, between its parts, is a line too, and so
are parameters of parts that did not run; the lines of any depth add up to the same totals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from netwright.core.errors import SettingError
from netwright.records.inspection import (
    AxisField,
    InspectedLayer,
    InspectionRecord,
    Operation,
    Shape,
)

# A table is cut where it has at least so many lines, and at most so many.
FEWEST, MOST = 6, 40


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: a layer, several that were put together, or what a container computes itself."""

    label: str
    layers: tuple[InspectedLayer, ...]
    """The layers it stands for; none for a container's own operations."""
    parent: str
    outputs: tuple[Shape, ...]
    params: int
    macs: int
    other_ops: int
    activation_bytes: int
    fields: tuple[AxisField, ...]
    unruled: int = 0


@dataclass(kw_only=True)
class Branch:
    """A call of a module, and the calls within it."""

    layer: InspectedLayer
    parts: list[Branch] = field(default_factory=list)


def tree(record: InspectionRecord) -> list[Branch]:
    """The calls of modules as they are nested, outermost first."""
    roots: list[Branch] = []
    around: list[Branch] = []
    for layer in record.layers:
        branch = Branch(layer=layer)
        while around and around[-1].layer.depth >= layer.depth:
            around.pop()
        (around[-1].parts if around else roots).append(branch)
        around.append(branch)
    return roots


def lines(record: InspectionRecord, depth: int | None = None) -> list[Line]:
    """The lines at `depth` (1: the parts of the network); None chooses a depth that fits a screen,
    and puts what computes no products with the line before it."""
    if depth is not None:
        check_depth(depth)
        return _cut(record, depth)
    return compact(record, fitting_depth(record))


def check_depth(depth: int) -> None:
    """Raises `SettingError` for a depth below 0, the network as one line."""
    if depth < 0:
        raise SettingError(
            "{name}: expected at least {least}, not {value}.", name="depth", least=0, value=depth
        )


def fitting_depth(record: InspectionRecord) -> int:
    """The least depth with enough lines to say something, as long as they fit a screen."""
    deepest = max((each.depth for each in record.layers), default=0)
    best = 1
    for depth in range(1, deepest + 1):
        found = len(compact(record, depth))
        if found > MOST:
            break
        best = depth
        if found >= FEWEST:
            break
    return best


def compact(record: InspectionRecord, depth: int) -> list[Line]:
    """The lines at `depth`, small ones put together: an activation with what it follows, a global
    pooling with the head it feeds."""
    found: list[Line] = []
    for line in _cut(record, depth):
        if found and found[-1].parent == line.parent and _joins(found[-1], line):
            found[-1] = _together(found[-1], line, shown=line)
        else:
            found.append(line)
    return found


def _joins(before: Line, line: Line) -> bool:
    if not before.layers and line.layers:
        return False  # a container's own operations are told as such
    same = before.outputs == line.outputs and before.fields == line.fields
    if same and not line.macs and not line.params:
        return True
    empty = not before.macs and not before.params
    seen = {each.sight for each in before.fields}
    return empty and seen == {"all"} and before.fields == line.fields


def _together(first: Line, second: Line, *, shown: Line) -> Line:
    # A container's own operations behind a layer say so: "conv2 +add".
    ending = _last(second) if second.layers else second.label.rpartition(": ")[2]
    mark = " " if second.layers else " +"
    return dataclasses.replace(
        first,
        label=f"{first.label}{mark}{ending}",
        layers=first.layers + second.layers,
        outputs=shown.outputs,
        fields=shown.fields,
        params=first.params + second.params,
        macs=first.macs + second.macs,
        other_ops=first.other_ops + second.other_ops,
        activation_bytes=first.activation_bytes + second.activation_bytes,
        unruled=first.unruled + second.unruled,
    )


def _last(line: Line) -> str:
    """How a layer is called beside the one before it: the last part of its path, or its kind
    where that is a number."""
    name = line.layers[0].name.rpartition(".")[2]
    return line.layers[0].kind if name.isdigit() else name


def label(layer: InspectedLayer) -> str:
    """The path of a layer, its kind where the path ends in a number, and which call it is."""
    name = layer.name or layer.kind
    if layer.leaf and layer.name.rpartition(".")[2].isdigit():
        name = f"{name} {layer.kind}"
    return f"{name} #{layer.call + 1}" if layer.call else name


def _cut(record: InspectionRecord, depth: int) -> list[Line]:
    found = [each for root in tree(record) for each in _lines_of(root, record, max(0, depth))]
    missing = record.params - sum(each.params for each in found)
    if missing > 0:
        found.append(_not_run(record, missing))
    return found


def _lines_of(branch: Branch, record: InspectionRecord, depth: int) -> Iterator[Line]:
    layer = branch.layer
    if not branch.parts or layer.depth >= depth:
        begin, end = layer.operations
        if end > begin or layer.params or layer.macs:
            yield _of_layer(layer)
        return
    own_params = layer.own_params
    here = layer.operations[0]
    for part in [*branch.parts, None]:
        until = part.layer.operations[0] if part is not None else layer.operations[1]
        own = [each for each in record.operations[here:until] if _works(each)]
        if own:
            yield _own(layer, own, own_params)
            own_params = 0
        if part is not None:
            yield from _lines_of(part, record, depth)
            here = max(here, part.layer.operations[1])
    if own_params:
        yield _own(layer, [], own_params)


def _works(operation: Operation) -> bool:
    """Whether it does more than to look at memory in another way."""
    return not operation.view or bool(operation.macs or operation.other_ops)


def _of_layer(layer: InspectedLayer) -> Line:
    return Line(
        label=label(layer),
        layers=(layer,),
        parent=layer.name.rpartition(".")[0],
        outputs=layer.outputs,
        params=layer.params,
        macs=layer.macs,
        other_ops=layer.other_ops,
        activation_bytes=layer.activation_bytes,
        fields=layer.fields,
        unruled=sum(times for _, times in layer.unruled),
    )


def _own(layer: InspectedLayer, operations: Sequence[Operation], params: int) -> Line:
    names = " ".join(dict.fromkeys(each.name for each in operations)) or "parameters"
    return Line(
        label=f"{layer.name}: {names}" if layer.name else names,
        layers=(),
        parent=layer.name,
        outputs=(operations[-1].output,) if operations else (),
        params=params,
        macs=sum(each.macs for each in operations),
        other_ops=sum(each.other_ops for each in operations),
        activation_bytes=sum(each.bytes_written for each in operations if not each.view),
        fields=operations[-1].fields if operations else (),
        unruled=sum(not each.ruled for each in operations),
    )


def _not_run(record: InspectionRecord, params: int) -> Line:
    owners = dict.fromkeys(each.paths[0].partition(".")[0] for each in record.unused)
    return Line(
        label=f"({' '.join(owners) or 'rest'})",
        layers=(),
        parent="(not run)",
        outputs=(),
        params=params,
        macs=0,
        other_ops=0,
        activation_bytes=0,
        fields=(),
    )
