"""Records made by hand: a residual network of two blocks, small enough to check in the head.

Input (1, 3, 32, 32). `stem` (a 3x3 convolution, 8 maps) and a ReLU; `block.0` and `block.1`, each
a 3x3 convolution whose result is added to its input and rectified by the block itself; a global
pooling and a linear layer.
"""

from __future__ import annotations

from netwright.records.inspection import (
    AxisField,
    InspectedLayer,
    InspectionRecord,
    Operation,
    ParameterFact,
)

MAP = (1, 8, 32, 32)
BYTES = 4 * 8 * 32 * 32
STEM, CONV, HEAD = 3 * 8 * 9, 8 * 8 * 9, 8 * 10 + 10


def window(size: int) -> tuple[AxisField, AxisField]:
    field = AxisField(sight="window", size=size, stride=1, padding=(size - 1) // 2, reads=size)
    return (field, field)


EVERYTHING = (AxisField(sight="all"), AxisField(sight="all"))


def operation(number, name, layer, inputs, output, field, *, macs=0, weights=(), view=False):
    written = 0 if view else 4
    for size in output:
        written *= size
    return Operation(
        number=number, name=name, layer=layer, inputs=inputs, output=output, macs=macs,
        other_ops=0 if macs or view else 1, bytes_written=written, weights=weights,
        fields=field, view=view,
    )  # fmt: skip


def operations() -> tuple[Operation, ...]:
    conv_macs, stem_macs = CONV * 32 * 32, STEM * 32 * 32
    return (
        operation(0, "conv2d", "stem", (-1,), MAP, window(3), macs=stem_macs,
                  weights=("stem.weight",)),
        operation(1, "relu", "act", (0,), MAP, window(3)),
        operation(2, "conv2d", "block.0.conv", (1,), MAP, window(5), macs=conv_macs,
                  weights=("block.0.conv.weight",)),
        operation(3, "add", "block.0", (2, 1), MAP, window(5)),
        operation(4, "relu", "block.0", (3,), MAP, window(5)),
        operation(5, "conv2d", "block.1.conv", (4,), MAP, window(7), macs=conv_macs,
                  weights=("block.1.conv.weight",)),
        operation(6, "add", "block.1", (5, 4), MAP, window(7)),
        operation(7, "relu", "block.1", (6,), MAP, window(7)),
        operation(8, "mean", "pool", (7,), (1, 8, 1, 1), EVERYTHING),
        operation(9, "flatten", "", (8,), (1, 8), EVERYTHING, view=True),
        operation(10, "linear", "fc", (9,), (1, 10), EVERYTHING, macs=80,
                  weights=("fc.weight", "fc.bias")),
    )  # fmt: skip


def layer(name, kind, depth, span, output, *, own=0, params=None, leaf=True, ops=()):
    inside = ops[span[0] : span[1]]
    total = own if params is None else params
    return InspectedLayer(
        name=name, kind=kind, depth=depth, call=0, inputs=(MAP,), outputs=(output,),
        params=total, own_params=own, trainable=total, weight_bytes=4 * total, buffer_bytes=0,
        macs=sum(each.macs for each in inside), other_ops=sum(each.other_ops for each in inside),
        activation_bytes=sum(each.bytes_written for each in inside),
        fields=inside[-1].fields if inside else (), operations=span, leaf=leaf,
    )  # fmt: skip


def residual(*, name: str = "small", unused: int = 0, stem: str = "stem") -> InspectionRecord:
    ops = operations()
    total = STEM + 2 * CONV + HEAD
    layers = (
        layer("", "Small", 0, (0, 11), (1, 10), params=total, leaf=False, ops=ops),
        layer(stem, "Conv2d", 1, (0, 1), MAP, own=STEM, ops=ops),
        layer("act", "ReLU", 1, (1, 2), MAP, ops=ops),
        layer("block", "Sequential", 1, (2, 8), MAP, params=2 * CONV, leaf=False, ops=ops),
        layer("block.0", "Block", 2, (2, 5), MAP, params=CONV, leaf=False, ops=ops),
        layer("block.0.conv", "Conv2d", 3, (2, 3), MAP, own=CONV, ops=ops),
        layer("block.1", "Block", 2, (5, 8), MAP, params=CONV, leaf=False, ops=ops),
        layer("block.1.conv", "Conv2d", 3, (5, 6), MAP, own=CONV, ops=ops),
        layer("pool", "AdaptiveAvgPool2d", 1, (8, 9), (1, 8, 1, 1), ops=ops),
        layer("fc", "Linear", 1, (10, 11), (1, 10), own=HEAD, ops=ops),
    )

    def fact(path: str, numel: int, *, used: bool = True) -> ParameterFact:
        return ParameterFact(
            paths=(path,), shape=(numel,), numel=numel, bytes=4 * numel, dtype="float32",
            trainable=True, used=used,
        )  # fmt: skip

    parameters = [
        fact("stem.weight", STEM), fact("block.0.conv.weight", CONV),
        fact("block.1.conv.weight", CONV), fact("fc.weight", 80), fact("fc.bias", 10),
    ]  # fmt: skip
    if unused:
        parameters.append(fact("aux.weight", unused, used=False))
    return InspectionRecord(
        model=name, kind="Small", inputs=((1, 3, 32, 32),), input_dtypes=("float32",),
        spatial=((0, 2), (0, 3)), layers=layers, operations=ops, parameters=tuple(parameters),
        outputs=((1, 10),), output_bytes=40, peak_activation_bytes=3 * BYTES, buffer_bytes=0,
    )  # fmt: skip
