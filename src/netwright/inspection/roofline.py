"""What a network should take on a machine, by the roofline (Williams, Waterman & Patterson 2009).

An operation takes as long as its arithmetic at the rate for its kind, or as the bytes it reads and
writes, whichever is longer, and the call itself on top. Nothing overlaps between operations, and
none disturbs another. No torch: everything is in the record of the inspection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from netwright.records.inspection import InspectionRecord, Operation
from netwright.records.timing import Bound, LayerTime, Machine, Timing

_STEM = 4
"""Images have up to so many channels; a convolution that reads few is slow for its arithmetic."""

_POOLS = ("max_pool", "avg_pool", "lp_pool", "adaptive", "fractional")

_CURVES = {
    "gelu", "silu", "mish", "sigmoid", "tanh", "softplus", "elu", "selu", "celu", "logsigmoid",
    "exp", "log", "sin", "cos", "erf", "softmax", "log_softmax", "pow", "tanhshrink",
}  # fmt: skip


_NORMS = {"batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm"}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one operation takes, by part."""

    compute: float
    memory: float
    overhead: float

    @property
    def seconds(self) -> float:
        return max(self.compute, self.memory) + self.overhead

    @property
    def bound(self) -> Bound:
        if self.overhead > max(self.compute, self.memory):
            return "overhead"
        return "memory" if self.memory > self.compute else "compute"


def estimate(record: InspectionRecord, machine: Machine) -> Timing:
    """The timing of one forward pass of the inspected network, layer by layer."""
    sizes = {path: each.bytes for each in record.parameters for path in each.paths}
    costs = [cost(each, machine, sizes) for each in record.operations]
    parts: dict[Bound, float] = {"compute": 0.0, "memory": 0.0, "overhead": 0.0}
    for each in costs:
        parts[each.bound] += each.seconds
    layers = []
    for layer in record.layers:
        first, end = layer.operations
        inside = record.operations[first:end]
        shares: dict[Bound, float] = {"compute": 0.0, "memory": 0.0, "overhead": 0.0}
        for each in costs[first:end]:
            shares[each.bound] += each.seconds
        layers.append(
            LayerTime(
                name=layer.name,
                kind=layer.kind,
                depth=layer.depth,
                call=layer.call,
                leaf=layer.leaf,
                macs=layer.macs,
                bytes=sum(each.bytes_read + each.bytes_written for each in inside),
                seconds=sum(each.seconds for each in costs[first:end]),
                bound=max(shares, key=lambda bound: shares[bound]),
            )
        )
    return Timing(
        model=record.model,
        machine=machine,
        layers=tuple(layers),
        seconds=sum(each.seconds for each in costs),
        compute=parts["compute"],
        memory=parts["memory"],
        overhead=parts["overhead"],
        unruled=record.unruled,
    )


def cost(operation: Operation, machine: Machine, weight_bytes: Mapping[str, int]) -> Cost:
    """What `operation` takes; `weight_bytes` are the sizes of the parameters, by path."""
    if operation.view:
        return Cost(compute=0.0, memory=0.0, overhead=machine.overheads["view"])
    kind, size, work = kind_of(operation)
    moved = operation.bytes_read + operation.bytes_written
    weights = min(moved, sum(weight_bytes.get(each, 0) for each in operation.weights))
    positions = math.prod(operation.output[2:])
    if kind == "conv":  # its weights are put into order once for all images of a batch
        positions *= operation.output[0]
    convolves = kind in ("conv", "pointwise", "depthwise", "stem")
    # Activations come warm from the operation before. Weights wait since the last pass, behind all
    # the others; those of a convolution are put into another order first.
    memory = (moved - weights) / machine.rate("copy", moved - weights) if moved > weights else 0.0
    if weights:
        taken_in = "filters" if convolves else "read"
        memory += weights / machine.rate(taken_in, sum(weight_bytes.values()))
    call = "conv" if convolves else "norm" if operation.name in _NORMS else kind
    return Cost(
        compute=work / machine.rate(kind, size, positions) if work else 0.0,
        memory=memory,
        overhead=machine.overheads.get(call, machine.overheads["other"]),
    )


def kind_of(operation: Operation) -> tuple[str, float, float]:
    """The kind of work, its size on the scale of its rate, and how much it is; work without
    arithmetic worth counting is "copy", and 0.

    >>> kind_of(Operation(number=0, name="conv2d", layer="", inputs=(-1,), output=(1, 8, 4, 4),
    ...     macs=8 * 16 * 9 * 8, options=(("kernel_size", (3, 3)), ("groups", 1))))
    ('conv', 8.0, 9216)
    """
    options = dict(operation.options)
    if operation.macs and operation.name.startswith("conv"):
        kernel = options.get("kernel_size", 1)
        taps = math.prod(kernel) if isinstance(kernel, tuple | list) else int(kernel)
        groups = int(options.get("groups", 1))
        out_channels = operation.output[1] / groups if len(operation.output) > 2 else 1.0
        reads = operation.macs / max(1, math.prod(operation.output) * taps)
        width = math.sqrt(max(1.0, reads) * max(1.0, out_channels))
        if groups > 1 and reads <= 1:
            return "depthwise", float(operation.output[1]), operation.macs
        if groups == 1 and reads <= _STEM:
            return "stem", width, operation.macs
        return "pointwise" if taps == 1 else "conv", width, operation.macs
    if operation.macs:
        return "matmul", operation.macs ** (1 / 3), operation.macs
    elements = math.prod(operation.output)
    if operation.other_ops and any(operation.name.startswith(each) for each in _POOLS):
        return "pool", float(elements), elements
    if operation.other_ops and operation.name in _CURVES:
        return "curve", float(elements), elements
    return "copy", 0.0, 0.0
