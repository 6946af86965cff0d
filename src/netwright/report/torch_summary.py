"""The layout that torchinfo's `summary` made familiar, around numbers that are counted exactly.

Its columns and their names are kept so that a reader finds everything where it was. Two lines
differ on purpose: activations are what the pass writes, not twice the leaves' outputs, and the
peak is what lives at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from netwright.core.cells import pad, width
from netwright.core.errors import SettingError, nearest
from netwright.core.escaping import terminal
from netwright.records.inspection import InspectedLayer, InspectionRecord, Shape
from netwright.report.layer_lines import Branch, check_depth, tree
from netwright.report.quantities import at_least, field_size

DEFAULT = ("output_size", "num_params", "mult_adds")


def torch_summary(
    record: InspectionRecord, *, depth: int = 3, col_names: Sequence[str] = DEFAULT
) -> str:
    """The tree of layers to `depth`, one line each call, the totals and the sizes.

    `col_names` are of `input_size`, `output_size`, `num_params`, `params_percent`, `mult_adds`,
    `receptive_field` and `trainable`. Raises `SettingError` for another, and for a depth below 0.
    """
    check_depth(depth)
    for name in col_names:
        if name not in _COLUMNS:
            raise SettingError(
                'No column called "{name}".',
                hint="Nearest: {near}." if nearest(name, _COLUMNS) else "Known: {known}.",
                name=name,
                near=", ".join(nearest(name, _COLUMNS)),
                known=", ".join(_COLUMNS),
            )
    rows = [
        (name, *(_COLUMNS[each][1](shown, record) for each in col_names))
        for name, shown in _rows(tree(record), depth)
    ]
    head = ("Layer (type:depth-idx)", *(_COLUMNS[each][0] for each in col_names))
    widths = [max(width(row[k]) for row in [head, *rows]) + 4 for k in range(len(head))]
    line = "=" * max(sum(widths), 60)

    def written(row: Sequence[str]) -> str:
        return "".join(pad(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip()

    table = [line, written(head), line, *map(written, rows), line]
    return "\n".join([*table, *_totals(record), line, *_sizes(record), line])


@dataclass(frozen=True)
class _Shown:
    """A call, and what its line counts: all within it where the tree is cut, else its own."""

    layer: InspectedLayer
    params: int
    macs: int
    unruled: int
    """Operations without a rule, whose products are not counted."""


def _shown(branch: Branch, depth: int) -> _Shown:
    layer = branch.layer
    if not branch.parts or layer.depth >= depth:
        return _Shown(layer, layer.params, layer.macs, _unruled(layer))
    within = sum(each.layer.macs for each in branch.parts)
    unruled = _unruled(layer) - sum(_unruled(each.layer) for each in branch.parts)
    return _Shown(layer, layer.own_params, layer.macs - within, unruled)


def _unruled(layer: InspectedLayer) -> int:
    return sum(times for _, times in layer.unruled)


def _rows(
    branches: Sequence[Branch], depth: int, *, before: str = "", counters: list[int] | None = None
) -> Iterator[tuple[str, _Shown]]:
    """Each call with its name in the tree; the number counts the calls at its depth, from 1."""
    counters = counters if counters is not None else []
    for place, branch in enumerate(branches):
        layer, last = branch.layer, place == len(branches) - 1
        if layer.depth == 0:
            yield f"{terminal(layer.kind)}{_call(layer)}", _shown(branch, depth)
            inner = ""
        else:
            while len(counters) < layer.depth:
                counters.append(0)
            counters[layer.depth - 1] += 1
            number = f"{layer.depth}-{counters[layer.depth - 1]}"
            mark = "└─" if last else "├─"
            yield (
                f"{before}{mark}{terminal(layer.kind)}: {number}{_call(layer)}",
                _shown(branch, depth),
            )
            inner = before + ("    " if last else "│   ")
        if layer.depth < depth:
            yield from _rows(branch.parts, depth, before=inner, counters=counters)


def _call(layer: InspectedLayer) -> str:
    """A later call of a module that has a line already, as torchinfo marks it."""
    return " (recursive)" if layer.call else ""


def _totals(record: InspectionRecord) -> list[str]:
    factor, unit = next(
        ((f, u) for f, u in ((1e12, "T"), (1e9, "G"), (1e6, "M")) if record.macs >= f), (1.0, "")
    )
    frozen = record.params - record.trainable
    macs = f"{record.macs / factor:.2f}" if unit else f"{record.macs:,}"
    macs = at_least(macs, record.unruled)
    found = [
        f"Total params: {record.params:,}",
        f"Trainable params: {record.trainable:,}",
        f"Non-trainable params: {frozen:,}",
        f"Total mult-adds ({unit}): {macs}" if unit else f"Total mult-adds: {macs}",
    ]
    if record.unruled:
        names = ", ".join(f"{name} x{times}" for name, times in record.unruled)
        found.append(f"Not counted, for want of a rule: {terminal(names)}")
    return found


def _sizes(record: InspectionRecord) -> list[str]:
    inputs = sum(_bytes(s, d) for s, d in zip(record.inputs, record.input_dtypes, strict=False))
    written = record.layers[0].activation_bytes if record.layers else 0
    peak, weights = record.peak_activation_bytes, record.weight_bytes + record.buffer_bytes
    return [
        f"Input size (MB): {inputs / 1e6:.2f}",
        f"Activations written (MB): {written / 1e6:.2f}",
        f"Params and buffers size (MB): {weights / 1e6:.2f}",
        f"Peak in inference (MB): {(peak + weights) / 1e6:.2f}",
    ]


_SIZES = {"64": 8, "32": 4, "16": 2, "bool": 1, "int8": 1, "uint8": 1, "complex64": 8}


def _bytes(sizes: Shape, dtype: str) -> int:
    name = dtype.removeprefix("torch.")
    each = _SIZES.get(name) or next((_SIZES[k] for k in _SIZES if name.endswith(k)), 1)
    total = each
    for size in sizes:
        total *= size
    return total


def _size(shapes: Sequence[Shape]) -> str:
    if not shapes:
        return "--"
    more = f" +{len(shapes) - 1}" if len(shapes) > 1 else ""
    return str(list(shapes[0])) + more


def _params(shown: _Shown, record: InspectionRecord) -> str:
    return "(recursive)" if shown.layer.call else f"{shown.params:,}" if shown.params else "--"


def _percent(shown: _Shown, record: InspectionRecord) -> str:
    return f"{shown.params / record.params:.2%}" if shown.params and record.params else "--"


def _macs(shown: _Shown, record: InspectionRecord) -> str:
    if not shown.macs and not shown.unruled:
        return "--"
    return at_least(f"{shown.macs:,}", shown.unruled)


def _trainable(shown: _Shown, record: InspectionRecord) -> str:
    layer = shown.layer
    if not layer.params:
        return "--"
    return "True" if layer.trainable == layer.params else "Partial" if layer.trainable else "False"


_COLUMNS: dict[str, tuple[str, Callable[[_Shown, InspectionRecord], str]]] = {
    "input_size": ("Input Shape", lambda shown, record: _size(shown.layer.inputs)),
    "output_size": ("Output Shape", lambda shown, record: _size(shown.layer.outputs)),
    "num_params": ("Param #", _params),
    "params_percent": ("Param %", _percent),
    "mult_adds": ("Mult-Adds", _macs),
    "receptive_field": (
        "Receptive Field",
        lambda shown, record: field_size(shown.layer.fields, record),
    ),
    "trainable": ("Trainable", _trainable),
}
