"""Pools: one other operation for each element of each window."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function, many
from netwright.records.inspection import Shape


def _windowed(count: int, name: str) -> Any:
    def pool(
        ledger: Ledger,
        x: Tensor,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: bool,
    ) -> Any:
        shape = x.shape
        lead = len(shape) - count
        kernel = many(kernel_size, count)
        steps = kernel if stride is None or stride == [] else many(stride, count)
        pads, spread = many(padding, count), many(dilation, count)
        if (
            not 1 <= lead <= 2
            or kernel is None
            or steps is None
            or pads is None
            or spread is None
            or min(kernel) < 1
            or min(steps) < 1
            or min(pads) < 0
            or min(spread) < 1
            or any(2 * p > k for p, k in zip(pads, kernel, strict=True))
            or 0 in shape
            or not x.dtype.is_floating_point
            or not x.is_contiguous()
        ):
            return DECLINE
        out = list(shape[:lead])
        for size, k, s, p, d in zip(shape[lead:], kernel, steps, pads, spread, strict=True):
            room = size + 2 * p - d * (k - 1) - 1
            length = (room + (s - 1 if ceil_mode else 0)) // s + 1
            if ceil_mode and (length - 1) * s >= size + p:
                length -= 1
            if length < 1 or size < k:  # torch refuses some pools wider than their image
                return DECLINE
            out.append(length)
        result = ledger.fresh(out, x.dtype)
        _note(ledger, name, x, result, kernel, steps, pads, spread, ceil_mode)
        return result

    return pool


def _note(
    ledger: Ledger,
    name: str,
    x: Tensor,
    out: Any,
    kernel: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    ceil_mode: bool,
) -> None:
    shape = tuple((out if isinstance(out, Tensor) else out[0]).shape)
    field = ledger.field(x)
    if field is not None:
        dims = tuple(range(len(shape) - len(kernel), len(shape)))
        field = field.windows(shape, dims, kernel, stride, padding, dilation)
    options = (
        ("kernel_size", kernel),
        ("stride", stride),
        ("padding", padding),
        ("dilation", dilation),
        ("ceil_mode", ceil_mode),
    )
    ledger.note(name, (x,), out, field, other=prod(shape) * prod(kernel), options=options)


def _register(count: int) -> None:
    largest = _windowed(count, f"max_pool{count}d")
    mean = _windowed(count, f"avg_pool{count}d")

    def max_pool(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if return_indices:
            return DECLINE
        return largest(ledger, input, kernel_size, stride, padding, dilation, ceil_mode)

    def avg_pool(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override == 0:
            return DECLINE
        return mean(ledger, input, kernel_size, stride, padding, 1, ceil_mode)

    function(getattr(F, f"max_pool{count}d"), getattr(torch, f"max_pool{count}d"))(max_pool)
    function(getattr(F, f"avg_pool{count}d"))(avg_pool)


for _count in (1, 2, 3):
    _register(_count)


def _adaptive(count: int, name: str) -> Any:
    def pool(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        output_size: Any,
        return_indices: bool = False,
    ) -> Any:
        shape = input.shape
        lead = len(shape) - count
        if isinstance(output_size, list | tuple):
            if len(output_size) != count or not 1 <= lead <= 2:
                return DECLINE
            output_size = tuple(
                size if wanted is None else wanted
                for wanted, size in zip(output_size, shape[lead:], strict=True)
            )
        wanted = many(output_size, count)
        if (
            not 1 <= lead <= 2
            or wanted is None
            or min(wanted) < 1
            or 0 in shape
            or return_indices
            or not input.dtype.is_floating_point
            or not input.is_contiguous()
        ):
            return DECLINE
        out = ledger.fresh((*shape[:lead], *wanted), input.dtype)
        _note_adaptive(ledger, name, input, out, count)
        return out

    return pool


def _note_adaptive(ledger: Ledger, name: str, x: Tensor, out: Any, count: int) -> None:
    shape = tuple((out if isinstance(out, Tensor) else out[0]).shape)
    field = ledger.field(x)
    dims = tuple(range(len(shape) - count, len(shape)))
    if field is not None:
        field = field.adaptive(shape, dims)
    taps = prod(shape[:-count])
    for size, wanted in zip(x.shape[-count:], shape[-count:], strict=True):
        # Window i reads floor(i size / wanted) ... ceil((i + 1) size / wanted) - 1.
        taps *= sum(-(-(i + 1) * size // wanted) - i * size // wanted for i in range(wanted))
    options = (("output_size", shape[-count:]),)
    ledger.note(name, (x,), out, field, other=taps, options=options)


for _count in (1, 2, 3):
    for _kind in ("avg", "max"):
        _name = f"adaptive_{_kind}_pool{_count}d"
        _rule = _adaptive(_count, _name)
        function(getattr(F, _name))(_rule)
        if getattr(torch, _name, None) not in (None, getattr(F, _name)):
            function(getattr(torch, _name))(_rule)


def _register_aten(count: int) -> None:
    @aten(f"max_pool{count}d_with_indices", f"max_pool{count}d", f"mkldnn_max_pool{count}d")
    def max_pool(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
        _told(ledger, f"max_pool{count}d", args, out, dilated=True)

    @aten(f"avg_pool{count}d")
    def avg_pool(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
        _told(ledger, f"avg_pool{count}d", args, out, dilated=False)

    def _told(ledger: Ledger, name: str, args: Any, out: Any, *, dilated: bool) -> None:
        more = (*args[1:], *(None,) * 5)
        kernel = many(list(more[0]), count)
        assert kernel is not None
        steps = many(list(more[1] or kernel), count)
        pads = many(list(more[2] or (0,)), count)
        spread = many(list(more[3] or (1,)), count) if dilated else (1,) * count
        assert steps is not None
        assert pads is not None
        assert spread is not None
        ceil = bool(more[4] if dilated else more[3])
        _note(ledger, name, args[0], out, kernel, steps, pads, spread, ceil)

    @aten(f"_adaptive_avg_pool{count}d", f"adaptive_avg_pool{count}d")
    def adaptive_avg(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
        _note_adaptive(ledger, f"adaptive_avg_pool{count}d", args[0], out, count)

    @aten(f"adaptive_max_pool{count}d")
    def adaptive_max(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
        _note_adaptive(ledger, f"adaptive_max_pool{count}d", args[0], out, count)


for _count in (1, 2, 3):
    _register_aten(_count)
