"""Convolutions: each output element takes one multiply-add for each tap of each channel it reads.

Taps on padding count. A transposed convolution spreads each input position over all its taps:
input positions times weights. The bias is one other operation for each output element.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function, many
from netwright.records.inspection import Shape


def _plain(count: int) -> Any:
    name = f"conv{count}d"

    def convolution(
        ledger: Ledger,
        input: Tensor,  # noqa: A002 - torch's word
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        shape, taps = input.shape, weight.shape
        steps, spread = many(stride, count), many(dilation, count)
        pads: Any = many(padding, count)
        if steps is None or spread is None or type(groups) is not int:
            return DECLINE
        if (pads is None and type(padding) is not str) or not _fits(input, weight, bias, taps):
            return DECLINE
        key = (shape, taps, steps, pads or padding, spread, groups)
        found = ledger.geometry.get(key)
        if found is None:
            found = _geometry(shape, taps, steps, pads, padding, spread, groups)
            if found is None:
                return DECLINE
            ledger.geometry[key] = found
        out, window, macs, added, options = found
        field = ledger.field(input)
        if field is not None:
            field = field.windows(out, *window)
        known = ledger.known
        if id(weight) in known or id(bias) in known:
            field = _with_weights(ledger, field, weight, bias, out)
        return ledger.make(
            name,
            (input, weight, bias),
            out,
            input.dtype,
            field,
            macs=macs,
            other=0 if bias is None else added,
            options=options,
        )

    return convolution


def _geometry(
    shape: Shape,
    taps: Shape,
    steps: Shape,
    pads: Shape | None,
    padding: Any,
    spread: Shape,
    groups: int,
) -> tuple[Shape, tuple[Any, ...], int, int, tuple[tuple[str, Any], ...]] | None:
    """Shape of the result, the window (dimensions, kernel, stride, padding, dilation), the
    multiply-adds, the other operations of a bias, and options; None where torch would refuse."""
    kernel = tuple(taps[2:])
    lead = len(shape) - len(steps)
    if (
        not 1 <= lead <= 2
        or len(kernel) != len(steps)
        or groups < 1
        or shape[lead - 1] != taps[1] * groups
        or taps[0] % groups
        or min(steps) < 1
        or min(spread) < 1
        or 0 in shape
        or 0 in taps
    ):
        return None
    sides: tuple[Any, ...]
    if padding == "same" and max(steps) == 1:
        sides = tuple(_halves(d * (k - 1)) for d, k in zip(spread, kernel, strict=True))
    elif padding == "valid":
        sides = (0,) * len(kernel)
    elif pads is None or min(pads) < 0:
        return None
    else:
        sides = pads
    out = [taps[0]] if lead == 1 else [shape[0], taps[0]]
    for size, k, s, p, d in zip(shape[lead:], kernel, steps, sides, spread, strict=True):
        room = size + (2 * p if type(p) is int else sum(p)) - d * (k - 1) - 1
        if room < 0:
            return None
        out.append(room // s + 1)
    added = prod(out)
    dims = tuple(range(lead, len(out)))
    window = (dims, kernel, steps, sides, spread)
    return tuple(out), window, added * prod(taps[1:]), added, _options(*window[1:], groups)


def _transposed(count: int) -> Any:
    name = f"conv_transpose{count}d"

    def convolution(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        shape, taps = input.shape, weight.shape
        lead = len(shape) - count
        steps, spread = many(stride, count), many(dilation, count)
        pads, extra = many(padding, count), many(output_padding, count)
        if (
            not 1 <= lead <= 2
            or len(taps) != count + 2
            or steps is None
            or spread is None
            or pads is None
            or extra is None
            or groups < 1
            or shape[lead - 1] != taps[0]
            or taps[0] % groups
            or min(steps) < 1
            or min(spread) < 1
            or min(pads) < 0
            or min(extra) < 0
            or any(e >= s and e >= d for e, s, d in zip(extra, steps, spread, strict=True))
            or 0 in shape
            or 0 in taps
            or not _fits(input, weight, bias, (taps[1] * groups,))
        ):
            return DECLINE
        kernel = tuple(taps[2:])
        channels = taps[1] * groups
        out = [channels] if lead == 1 else [shape[0], channels]
        for size, k, s, p, d, e in zip(
            shape[lead:], kernel, steps, pads, spread, extra, strict=True
        ):
            length = (size - 1) * s - 2 * p + d * (k - 1) + e + 1
            if length < 1:
                return DECLINE
            out.append(length)
        result = ledger.fresh(out, input.dtype)
        macs = prod(shape) // shape[lead - 1] * prod(taps)
        _note(
            ledger, name, input, weight, bias, result, tuple(out), kernel, steps, pads, spread,
            groups, macs, transposed=True, extra=extra,
        )  # fmt: skip
        return result

    return convolution


for _count in (1, 2, 3):
    function(getattr(torch, f"conv{_count}d"))(_plain(_count))
    function(getattr(torch, f"conv_transpose{_count}d"))(_transposed(_count))


@aten("convolution", "_convolution", "convolution_overrideable")
def convolution(ledger: Ledger, args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> None:
    x, weight, bias, stride, padding, dilation, transposed, extra, groups = args[:9]
    count = weight.ndim - 2
    kernel = tuple(weight.shape[2:])
    steps, pads, spread, more = (many(list(v), count) for v in (stride, padding, dilation, extra))
    assert steps is not None
    assert pads is not None
    assert spread is not None
    shape = tuple(out.shape)
    if transposed:
        macs = prod(x.shape) // x.shape[-count - 1] * prod(weight.shape)
    else:
        macs = prod(shape) * prod(weight.shape[1:])
    name = f"conv_transpose{count}d" if transposed else f"conv{count}d"
    _note(
        ledger, name, x, weight, bias, out, shape, kernel, steps, pads, spread, groups, macs,
        transposed=transposed, extra=more,
    )  # fmt: skip


def _note(
    ledger: Ledger,
    name: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    out: Tensor,
    shape: Shape,
    kernel: Shape,
    stride: Shape,
    padding: tuple[Any, ...],
    dilation: Shape,
    groups: int,
    macs: int,
    *,
    transposed: bool = False,
    extra: Shape | None = None,
) -> None:
    field = ledger.field(x)
    if field is not None:
        dims = tuple(range(len(shape) - len(kernel), len(shape)))
        spread = field.transposed if transposed else field.windows
        field = spread(shape, dims, kernel, stride, padding, dilation)
    options = _options(kernel, stride, padding, dilation, groups)
    if transposed:
        options += (("output_padding", extra),)
    ledger.note(
        name,
        (x, weight, bias),
        out,
        _with_weights(ledger, field, weight, bias, shape),
        macs=macs,
        other=0 if bias is None else prod(shape),
        options=options,
    )


def _options(
    kernel: Shape, stride: Shape, padding: tuple[Any, ...], dilation: Shape, groups: int
) -> tuple[tuple[str, Any], ...]:
    return (
        ("kernel_size", kernel),
        ("stride", stride),
        ("padding", padding),
        ("dilation", dilation),
        ("groups", groups),
    )


def _with_weights(ledger: Ledger, field: Field, weight: Any, bias: Any, shape: Shape) -> Field:
    """Weights that are computed from the input (dynamic filters) are seen by every position."""
    if id(weight) not in ledger.known and id(bias) not in ledger.known:
        return field
    computed = [w for w in (weight, bias) if ledger.field(w) is not None]
    if not computed:
        return field
    seen = ledger.everything(shape, computed)
    assert seen is not None
    return seen if field is None else TensorField.join(shape, field, seen)


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None, channels: Shape) -> bool:
    """`channels`: as many as the result has, first of others."""
    if x.dtype != weight.dtype or not x.is_contiguous() or not weight.is_contiguous():
        return False
    return bias is None or (bias.shape == channels[:1] and bias.dtype == x.dtype)


def _halves(total: int) -> int | tuple[int, int]:
    left = total // 2
    return left if left * 2 == total else (left, total - left)
