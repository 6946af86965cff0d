"""What each unit of each layer sees, as numbers for the script of a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from netwright.records.arrays import Array
from netwright.records.inspection import AxisField, InspectionRecord
from netwright.records.unit_rows import UnitRows
from netwright.report.field_picture import Exact, fields_of, map_size, seen

Call = tuple[str, int]
"""The path of a layer, and which of its calls."""

Table = dict[str, Any]


def layer_tables(
    record: InspectionRecord, exact: Mapping[Call, Exact]
) -> tuple[list[dict[str, Any]], list[Table]]:
    """The layers with a map and a field, each once, in their order, and the tables that their axes
    name by number; equal ones are there once. `exact` are the rows and columns of every unit."""
    tables: dict[str, int] = {}
    found: dict[str, dict[str, Any]] = {}
    for row in record.layers:
        units, rows = map_size(row, record), exact.get((row.name, row.call))
        if units is None or not row.name or row.name in found:
            continue
        first, fields = seen(row, record, exact=rows), fields_of(row, record, rows)
        if first is None or fields is None:
            continue
        held = [table(each, units[axis], axis) for axis, each in enumerate(fields)]
        found[row.name] = {
            "name": row.name,
            "units": list(units),
            "start": list(first.unit),
            "axes": [
                {"sight": "all"}
                if each is None
                else {"table": tables.setdefault(json.dumps(each), len(tables))}
                for each in held
            ],
            "crossed": any(
                each is not None and ("line" in each or each["down" if axis else "across"])
                for axis, each in enumerate(held)
            ),
        }
    return list(found.values()), [json.loads(each) for each in tables]


def table(field: AxisField | UnitRows, units: int, axis: int) -> Table | None:
    """The first row and the number of rows (0: none) of each unit along an axis, as the script
    reads them: unit (row, column) is at row * `down` + column * `across`, or, where both move it,
    in the line `line[row]` of equal lines. One size stands for all that are equal. None where all
    see everything.

    >>> facts = AxisField(sight="window", size=3, stride=2.0, padding=1)
    >>> table(facts, 4, axis=0)
    {'first': [-1, 1, 3, 5], 'size': [3], 'down': 1, 'across': 0}
    """
    if isinstance(field, AxisField):
        if field.sight == "all":
            return None
        assert field.size is not None
        assert field.stride is not None
        assert field.padding is not None
        starts = [round(unit * field.stride) - field.padding for unit in range(units)]
        return {"first": starts, "size": [field.size], "down": 1 - axis, "across": axis}
    size = np.maximum(field.last - field.first + 1, 0)
    first = np.where(size > 0, field.first, 0)
    high, wide = first.shape
    if high == 1 or wide == 1:
        return _flat(first, size, down=int(high > 1), across=int(wide > 1))
    lines, line = np.unique(np.stack([first, size], axis=1), axis=0, return_inverse=True)
    return {
        **_flat(lines[:, 0], lines[:, 1], down=0, across=wide),
        "line": line.reshape(-1).tolist(),
    }


def _flat(first: Array, size: Array, *, down: int, across: int) -> Table:
    sizes = np.unique(size).tolist()
    return {
        "first": first.reshape(-1).tolist(),
        "size": sizes if len(sizes) == 1 else size.reshape(-1).tolist(),
        "down": down,
        "across": across,
    }
