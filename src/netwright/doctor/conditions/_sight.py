"""The last map of a network that still has places, and what is done with it."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.doctor.conditions._graph import Graph
from netwright.records.inspection import AxisField, InspectionRecord, Operation


@dataclass(frozen=True, kw_only=True)
class LastMap:
    """The last operation whose units see a window of the input, the sides of that input, and
    the operation that looks at all of it (None: the map itself goes out)."""

    operation: Operation
    fields: tuple[AxisField, ...]
    input_sides: tuple[int, ...]
    joined_by: Operation | None

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(each.size or 0 for each in self.fields)


def last_map(record: InspectionRecord, graph: Graph) -> LastMap | None:
    """None where no operation has places: fully connected networks, transformers."""
    sides = tuple(
        record.inputs[number][dim]
        for number, dim in record.spatial
        if number < len(record.inputs) and dim < len(record.inputs[number])
    )
    live = [each for each in record.operations if each.number in graph.live]
    last = next((each for each in reversed(live) if has_window(each, len(sides))), None)
    if last is None or not sides:
        return None
    after = [each for each in live if each.number > last.number and sees_all(each)]
    return LastMap(
        operation=last,
        fields=last.fields,
        input_sides=sides,
        joined_by=after[0] if after else None,
    )


def has_window(operation: Operation, axes: int) -> bool:
    """Whether its units see a part of known size along every axis."""
    return len(operation.fields) == axes and all(
        each.sight in ("window", "varies") and each.size is not None for each in operation.fields
    )


def sees_all(operation: Operation) -> bool:
    return bool(operation.fields) and all(each.sight == "all" for each in operation.fields)
