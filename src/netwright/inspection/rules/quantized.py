"""Layers in whole numbers: their weights are packed away, and no parameters any more."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.contraction import contracted
from netwright.inspection.rules.registry import ATEN, AtenRule


def _unpacked(ledger: Ledger, packed: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer; the ledger says how many such numbers were read so far."""
    guard = torch._C._DisableTorchDispatch()
    try:
        weight, bias = packed.unpack()
    finally:
        del guard
    seen = ledger.geometry.setdefault("packed weights", {})
    before = _remark(seen)
    # The layer is held with its count: its id stays its own.
    seen[id(packed)] = packed, weight.numel() + (0 if bias is None else bias.numel())
    ledger.notes.pop(before, None)
    ledger.notes[_remark(seen)] = None
    return weight, bias


def _remark(seen: dict[int, tuple[Any, int]]) -> str:
    count = sum(numbers for _, numbers in seen.values())
    return f"{count:,} weights of quantised layers are packed: they are not among the parameters."


def _linear(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x = args[0]
    shape = tuple(out.shape)
    _unpacked(ledger, args[1])
    dims: list[int | None] = [*range(len(shape) - 1), None]
    field = contracted(ledger, shape, (x, dims))
    ledger.note("linear", (x,), out, field, macs=prod(shape) * x.shape[-1], other=prod(shape))


def _convolution(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x, packed = args[:2]
    weight, bias = _unpacked(ledger, packed)
    guard = torch._C._DisableTorchDispatch()
    try:
        stride, padding, dilation = packed.stride(), packed.padding(), packed.dilation()
        groups = packed.groups()
    finally:
        del guard
    shape, kernel = tuple(out.shape), tuple(weight.shape[2:])
    count = len(kernel)
    field = ledger.field(x)
    options = (("kernel_size", kernel), ("stride", tuple(stride)), ("padding", tuple(padding)),
               ("dilation", tuple(dilation)), ("groups", groups))  # fmt: skip
    if field is not None:
        dims = tuple(range(len(shape) - count, len(shape)))
        field = field.windows(shape, dims, kernel, tuple(stride), tuple(padding), tuple(dilation))
    ledger.note(f"conv{count}d", (x,), out, field, macs=prod(shape) * prod(weight.shape[1:]),
                other=0 if bias is None else prod(shape), options=options)  # fmt: skip


def _moved(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    ledger.note("quantize", args[:1], out, ledger.field(args[0]), other=prod(out.shape))


for _name in ("linear", "linear_relu", "linear_dynamic", "linear_relu_dynamic",
              "linear_dynamic_fp16", "linear_leaky_relu", "linear_tanh"):  # fmt: skip
    if hasattr(torch.ops.quantized, _name):
        ATEN[getattr(torch.ops.quantized, _name)] = AtenRule(_linear)
for _name in ("conv1d", "conv2d", "conv3d", "conv1d_relu", "conv2d_relu", "conv3d_relu"):
    if hasattr(torch.ops.quantized, _name):
        ATEN[getattr(torch.ops.quantized, _name)] = AtenRule(_convolution)
for _name in ("quantize_per_tensor", "quantize_per_channel", "quantize_per_tensor_dynamic",
              "dequantize", "int_repr"):  # fmt: skip
    if hasattr(torch.ops.aten, _name):
        ATEN[getattr(torch.ops.aten, _name)] = AtenRule(_moved)
