"""The table of an inspection as text: a line for each layer down to a depth, and the totals."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.records.inspection import InspectionRecord
from netwright.report.layer_lines import Line, lines
from netwright.report.quantities import (
    amount,
    at_least,
    byte_unit,
    column,
    count,
    field_size,
    field_stride,
    in_bytes,
    memory,
    outputs,
    shape,
)
from netwright.report.text_table import Column, aligned


def heading(record: InspectionRecord) -> str:
    """`resnet18   input 1x3x224x224   float32`."""
    inputs = ", ".join(shape(each) for each in record.inputs) or "-"
    dtypes = ", ".join(dict.fromkeys(record.input_dtypes)).replace("torch.", "")
    name = terminal(record.model or record.kind)
    return say("{model}   input {inputs}   {dtypes}", model=name, inputs=inputs, dtypes=dtypes)


def layer_table(
    record: InspectionRecord, depth: int | None = None, *, cells: int = 80
) -> list[str]:
    """The lines of the table, at most `cells` wide where names allow it.

    RF is the side of the receptive field in pixels of the input and stride how far it moves from
    unit to unit, for both axes where they differ. A narrow screen loses stride, bytes and the
    receptive field first. Output shapes are those of one sample.
    """
    found = lines(record, depth)
    factor, unit = byte_unit([each.activation_bytes for each in found])
    macs = column([each.macs for each in found])
    shown = [
        Column(
            head=say("layer"),
            cells=[*(each.label for each in found), say("total")],
            right=False,
        ),
        Column(
            head=say("output"),
            cells=[*(_output(each, record) for each in found), outputs(record.outputs, record)],
            rank=1,
            right=False,
        ),
        Column(
            head=say("params"),
            cells=[*(count(each.params) for each in found), count(record.params)],
        ),
        Column(
            head=say("MACs"),
            cells=[*_told(found, macs), at_least(amount(record.macs), record.unruled)],
        ),
        Column(
            head=say("act {unit}", unit=unit),
            cells=[
                *(in_bytes(each.activation_bytes, factor) for each in found),
                in_bytes(_written(record), factor),
            ],
            rank=3,
        ),
    ]
    if record.spatial:
        sizes = [field_size(each.fields, record) for each in found]
        strides = [field_stride(each.fields, record) for each in found]
        shown += [
            Column(head=say("RF"), cells=[*sizes, ""], rank=2),
            Column(head=say("stride"), cells=[*strides, ""], rank=4),
        ]
    return aligned(shown, cells=cells, rules=[len(found)])


def cost_lines(record: InspectionRecord) -> list[str]:
    """The costs with what they count, on the same line; then memory."""
    return [
        say(
            "FLOPs  {flops} = 2 x {macs} multiply-adds of contractions; {other} other operations "
            "(biases, norms, activations, pools) stand apart",
            flops=at_least(amount(record.flops), record.unruled),
            macs=at_least(amount(record.macs), record.unruled),
            other=amount(record.other_ops),
        ),
        say(
            "memory  weights {weights}, buffers {buffers}; activations {written} written, at most "
            "{peak} of them live at once in inference",
            weights=memory(record.weight_bytes),
            buffers=memory(record.buffer_bytes),
            written=memory(_written(record)),
            peak=memory(record.peak_activation_bytes),
        ),
    ]


def _output(line: Line, record: InspectionRecord) -> str:
    return outputs(line.outputs, record)


def _told(found: Sequence[Line], cells: Sequence[str]) -> list[str]:
    return [at_least(cell, each.unruled) for each, cell in zip(found, cells, strict=True)]


def _written(record: InspectionRecord) -> int:
    return record.layers[0].activation_bytes if record.layers else 0
