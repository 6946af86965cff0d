"""Two networks layer by layer: those of the same path beside each other, else in their order."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netwright.core.languages import say
from netwright.records.inspection import InspectionRecord
from netwright.report.layer_lines import Line, lines
from netwright.report.quantities import (
    amount,
    at_least,
    column,
    count,
    field_size,
    memory,
    outputs,
    ratio,
)
from netwright.report.text_table import Column, aligned


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two records and the pairs of their lines; one of a pair is None where it has no partner."""

    left: InspectionRecord
    right: InspectionRecord
    pairs: tuple[tuple[Line | None, Line | None], ...]

    @property
    def totals(self) -> dict[str, tuple[int, int]]:
        """Each cost of the left and of the right network."""
        return {
            "params": (self.left.params, self.right.params),
            "macs": (self.left.macs, self.right.macs),
            "weight_bytes": (self.left.weight_bytes, self.right.weight_bytes),
            "peak_activation_bytes": (
                self.left.peak_activation_bytes,
                self.right.peak_activation_bytes,
            ),
        }

    def table(self, *, cells: int = 80) -> str:
        """The pairs as lines, `<` and `>` before what only one network has; then the totals."""
        return "\n".join([*_table(self, cells), "", *_total_lines(self)])

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "left": _facts(self.left),
            "right": _facts(self.right),
            "ratios": {
                name: right / left if left else None for name, (left, right) in self.totals.items()
            },
            "layers": [
                {"left": _line(first, self.left), "right": _line(second, self.right)}
                for first, second in self.pairs
            ],
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        names = " and ".join(each.model or each.kind for each in (self.left, self.right))
        return f"Comparison({names}, {len(self.pairs)} lines)"


def compare(
    left: InspectionRecord, right: InspectionRecord, *, depth: int | None = None
) -> Comparison:
    """Pair the lines of two networks: by path where they share paths, else in their order."""
    first, second = lines(left, depth), lines(right, depth)
    return Comparison(left=left, right=right, pairs=tuple(_paired(first, second)))


def _paired(first: Sequence[Line], second: Sequence[Line]) -> list[tuple[Line | None, Line | None]]:
    names = [[_path(each) for each in side] for side in (first, second)]
    shared = set(names[0]) & set(names[1])
    if 2 * len(shared) < min(len(first), len(second)):
        longest = max(len(first), len(second))
        return [
            (first[k] if k < len(first) else None, second[k] if k < len(second) else None)
            for k in range(longest)
        ]
    pairs: list[tuple[Line | None, Line | None]] = []
    matcher = difflib.SequenceMatcher(None, names[0], names[1], autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pairs += zip(first[a:b], second[c:d], strict=True)
        else:
            pairs += [(each, None) for each in first[a:b]]
            pairs += [(None, each) for each in second[c:d]]
    return pairs


def _path(line: Line) -> str:
    return line.layers[0].name if line.layers else line.label


def _table(found: Comparison, cells: int) -> list[str]:
    names, marks = [], []
    for first, second in found.pairs:
        marks.append("<" if second is None else ">" if first is None else " ")
        names.append(_label(first, second))
    sides = list(zip(*found.pairs, strict=True)) or [(), ()]
    columns = [
        Column(
            head="  " + say("layer"), cells=[f"{m} {n}" for m, n in zip(marks, names, strict=True)]
        )
    ]
    rights = []
    for number, (record, side) in enumerate(zip((found.left, found.right), sides, strict=True), 1):
        macs = column([each.macs if each else 0 for each in side])
        rights.append(
            [
                Column(
                    head=say("output {number}", number=number),
                    cells=[outputs(each.outputs, record) if each else "" for each in side],
                    rank=2,
                    right=False,
                ),
                Column(
                    head=say("params {number}", number=number),
                    cells=[count(each.params) if each else "" for each in side],
                ),
                Column(
                    head=say("MACs {number}", number=number),
                    cells=[
                        at_least(m, each.unruled) if each else ""
                        for each, m in zip(side, macs, strict=True)
                    ],
                ),
                Column(
                    head=say("RF {number}", number=number),
                    cells=[field_size(each.fields, record) if each else "" for each in side],
                    rank=3,
                ),
            ]
        )
    for first, second in zip(*rights, strict=True):
        columns += [first, second]
    return aligned(columns, cells=cells)


def _label(first: Line | None, second: Line | None) -> str:
    if first is None or second is None:
        return (first or second).label  # type: ignore[union-attr]  # a pair has one at least
    same = _path(first) == _path(second)
    return first.label if same else f"{first.label} / {second.label}"


def _total_lines(found: Comparison) -> list[str]:
    heads = [
        f"1: {found.left.model or found.left.kind}",
        f"2: {found.right.model or found.right.kind}",
    ]
    titles = [say("parameters"), say("multiply-adds"), say("weights"), say("peak activations")]
    writers = [count, amount, memory, memory]
    totals = list(found.totals.values())
    written = [[w(pair[k]) for w, pair in zip(writers, totals, strict=True)] for k in (0, 1)]
    return aligned(
        [
            Column(head=say("total"), cells=titles),
            Column(head=heads[0], cells=_bounded(found.left, written[0])),
            Column(head=heads[1], cells=_bounded(found.right, written[1])),
            Column(head="2 / 1", cells=[ratio(b, a) for a, b in totals]),
        ],
        cells=80,
    )


def _bounded(record: InspectionRecord, cells: Sequence[str]) -> list[str]:
    """The totals of one network; its multiply-adds are the second."""
    return [at_least(cell, k == 1 and record.unruled) for k, cell in enumerate(cells)]


def _facts(record: InspectionRecord) -> dict[str, Any]:
    return {
        "model": record.model,
        "kind": record.kind,
        "inputs": record.inputs,
        "params": record.params,
        "macs": record.macs,
        "flops": record.flops,
        "weight_bytes": record.weight_bytes,
        "peak_activation_bytes": record.peak_activation_bytes,
    }


def _line(line: Line | None, record: InspectionRecord) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "label": line.label,
        "layers": [each.name for each in line.layers],
        "outputs": line.outputs,
        "params": line.params,
        "macs": line.macs,
        "activation_bytes": line.activation_bytes,
        "receptive_field": field_size(line.fields, record),
    }
