"""Operations that change the size of maps: resizing, padding, shuffling pixels, unfolding.

Other operations for each result: nearest 0, linear 2 taps an axis with a product and a sum,
cubic 4 taps an axis; with antialiasing one axis after the other, with so many more taps as it is
made smaller. torch itself says what shape comes out.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function, many, methods
from netwright.records.inspection import Shape

_TAPS = {"nearest": 0, "nearest-exact": 0, "linear": 2, "bilinear": 4, "trilinear": 8,
         "bicubic": 16, "area": 1}  # fmt: skip

UNPOOLED = "unpooling by index: at most what could have been put there"
FOLDED = "fold adds up windows: at most what all that lie over a position see"


def asked(ledger: Ledger, func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """What torch gives for a carrier, its own checks included; DECLINE where it refuses."""
    if id(x) not in ledger.known:
        return DECLINE
    if ledger.compute is not None:
        return ledger.ask()
    guard = torch._C._DisableTorchDispatch()
    try:
        return func(x, *args, **kwargs)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
        return DECLINE  # once more, with all ears: then torch says what is wrong
    finally:
        del guard


@function(F.interpolate)
def interpolate(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    out = asked(ledger, F.interpolate, input, size, scale_factor, mode, align_corners,
                recompute_scale_factor, antialias)  # fmt: skip
    if out is DECLINE:
        return out
    shape = tuple(out.shape)
    count = len(shape) - 2
    field = ledger.field(input)
    scales = None
    if scale_factor is not None and not recompute_scale_factor:
        given = scale_factor if isinstance(scale_factor, list | tuple) else (scale_factor,) * count
        scales = tuple(float(each) for each in given)
    if field is not None:
        dims = tuple(range(2, len(shape)))
        field = field.resized(
            shape, dims, mode, bool(align_corners), scales, antialias=bool(antialias)
        )
    options = (("mode", mode), ("size", shape[2:]), ("align_corners", bool(align_corners)))
    if antialias:
        other = _smoothing(mode, tuple(input.shape), shape)
    else:
        other = prod(input.shape) if mode == "area" else _TAPS.get(mode, 1) * 2 * prod(shape)
    ledger.note("interpolate", (input,), out, field, other=other, options=options)
    return out


def _smoothing(mode: str, given: Shape, out: Shape) -> int:
    """Other operations of an antialiased resize, which goes along the last axis first: for each
    result of each axis twice its taps, as many more as the axis is made smaller."""
    found, size = 0, list(given)
    for dim in (-1, -2):
        size[dim] = out[dim]
        taps = _SIDE_TAPS[mode] * max(1.0, given[dim] / out[dim])
        found += round(2 * taps) * prod(size)
    return found


_SIDE_TAPS = {"bilinear": 2, "bicubic": 4, "lanczos": 6}


def _register(mode: str, name: str, corners: bool) -> None:
    smoothed = name.endswith("_aa")
    count = int(name.removesuffix("_aa")[-2])

    @aten(name)
    def upsample(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
        shape = tuple(out.shape)
        dims = tuple(range(len(shape) - count, len(shape)))
        align = bool(args[2]) if corners and len(args) > 2 else False
        field = ledger.field(args[0])
        # The scales come last, one for each axis or as one list.
        rest = list(args[3 if corners else 2 :]) or list(kwargs.values())
        flat = rest[0] if rest and isinstance(rest[0], list | tuple) else rest
        scales = tuple(flat) if len(flat) == count and None not in flat else None
        if field is not None:
            field = field.resized(shape, dims, mode, align, scales, antialias=smoothed)
        options = (("mode", mode), ("size", shape[-count:]), ("align_corners", align))
        if smoothed:
            other = _smoothing(mode, tuple(args[0].shape), shape)
        else:
            other = 2 * _TAPS[mode] * prod(shape)
        ledger.note("interpolate", args[:1], out, field, other=other, options=options)


for _mode, _name, _corners in (
    ("nearest", "upsample_nearest1d", False),
    ("nearest", "upsample_nearest2d", False),
    ("nearest", "upsample_nearest3d", False),
    ("nearest-exact", "_upsample_nearest_exact1d", False),
    ("nearest-exact", "_upsample_nearest_exact2d", False),
    ("nearest-exact", "_upsample_nearest_exact3d", False),
    ("linear", "upsample_linear1d", True),
    ("bilinear", "upsample_bilinear2d", True),
    ("trilinear", "upsample_trilinear3d", True),
    ("bicubic", "upsample_bicubic2d", True),
    ("bilinear", "_upsample_bilinear2d_aa", True),
    ("bicubic", "_upsample_bicubic2d_aa", True),
    ("lanczos", "_upsample_lanczos2d_aa", True),
):
    _register(_mode, _name, _corners)


@function(F.pad, torch._C._nn.pad)
def pad(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    pad: Any,
    mode: str = "constant",
    value: float | None = None,
) -> Any:
    out = asked(ledger, torch._C._nn.pad, input, pad, mode, value)
    if out is DECLINE or out is input:
        return out
    _note_pad(ledger, input, list(pad), mode, out)
    return out


def _note_pad(ledger: Ledger, x: Tensor, pads: list[int], mode: str, out: Tensor) -> None:
    rank = x.ndim
    by_dim = {
        rank - 1 - i: (pads[2 * i], pads[2 * i + 1])
        for i in range(len(pads) // 2)
        if pads[2 * i] or pads[2 * i + 1]
    }
    field = ledger.field(x)
    if field is not None and by_dim:
        field = field.padded(tuple(out.shape), by_dim, mode)
    ledger.note("pad", (x,), out, field, options=(("pad", tuple(pads)), ("mode", mode)))


@aten("constant_pad_nd")
def constant_pad(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    _note_pad(ledger, args[0], list(args[1]), "constant", out)


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    _note_pad(ledger, args[0], list(args[1]), "reflect", out)


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    _note_pad(ledger, args[0], list(args[1]), "replicate", out)


def _shuffled(name: str, up: bool) -> Any:
    def rule(ledger: Ledger, input: Tensor, factor: int) -> Any:  # noqa: A002
        out = asked(ledger, getattr(torch, name), input, factor)
        if out is DECLINE:
            return out
        _note_shuffle(ledger, name, input, factor, out, up=up)
        return out

    return rule


def _note_shuffle(
    ledger: Ledger, name: str, x: Tensor, factor: int, out: Tensor, *, up: bool
) -> None:
    """(*, C r r, H, W) <-> (*, C, H r, W r): channels and phases change places."""
    field = ledger.field(x)
    if field is not None:
        *lead, channels, height, width = x.shape
        r, n = factor, len(lead)
        first = tuple(range(n))
        if up:
            field = field.reshaped((*lead, channels // (r * r), r, r, height, width))
            field = field.permuted((*first, n, n + 3, n + 1, n + 4, n + 2))
        else:
            field = field.reshaped((*lead, channels, height // r, r, width // r, r))
            field = field.permuted((*first, n, n + 2, n + 4, n + 1, n + 3))
        field = field.reshaped(tuple(out.shape))
    ledger.note(name, (x,), out, field, options=(("factor", factor),))


for _name, _up in (("pixel_shuffle", True), ("pixel_unshuffle", False)):
    for _found in {getattr(F, _name), *methods(_name)}:
        function(_found)(_shuffled(_name, _up))

    def _aten_shuffle(name: str, up: bool) -> None:
        @aten(name)
        def shuffle(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
            _note_shuffle(ledger, name, args[0], args[1], out, up=up)

    _aten_shuffle(_name, _up)


@function(*methods("repeat_interleave"))
def repeated(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    repeats: Any = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Any:
    """Each position `repeats` times, one behind the other; how often by a tensor is declined."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or id(input) not in ledger.known:
        return DECLINE
    out = asked(ledger, torch.repeat_interleave, input, repeats, dim, output_size=output_size)
    if out is DECLINE:
        return out
    field = ledger.field(input)
    if field is not None:
        shape = tuple(input.shape) or (1,)
        whole = (prod(shape),) if dim is None else shape
        place = 0 if dim is None else dim % len(shape)
        lead, rest = whole[: place + 1], whole[place + 1 :]
        field = field.reshaped((*lead, 1, *rest)).expanded((*lead, repeats, *rest))
        field = field.reshaped(tuple(out.shape))
    options = (("repeats", repeats), ("dim", dim))
    ledger.note("repeat_interleave", (input,), out, field, options=options)
    return out


@aten("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    ledger.note("channel_shuffle", args[:1], out, ledger.field(args[0]))


@aten("im2col")
def im2col(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """(N, C, H, W) -> (N, C kh kw, L): an upper bound, each element sees its whole window."""
    x, kernel, dilation, padding, stride = (
        args[0], *(many(list(each), 2) for each in args[1:5])
    )  # fmt: skip
    field = ledger.field(x)
    if field is not None and kernel and dilation and padding and stride:
        sizes = tuple(
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, d, p, s in zip(
                x.shape[-2:], kernel, dilation, padding, stride, strict=True
            )
        )
        shape = (*out.shape[:-1], *sizes)
        dims = (len(shape) - 2, len(shape) - 1)
        field = field.windows(shape, dims, kernel, stride, padding, dilation)
        field = field.reshaped(tuple(out.shape))
    ledger.note("unfold", (x,), out, field, options=(("kernel_size", kernel), ("stride", stride)))


@aten("col2im")
def col2im(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """(N, C kh kw, L) -> (N, C, H, W): each window is added where it lay."""
    x = args[0]
    kernel, dilation, padding, stride = (many(list(each), 2) for each in args[2:6])
    field = ledger.field(x)
    if field is not None and kernel and dilation and padding and stride:
        sizes = tuple(
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, d, p, s in zip(
                out.shape[-2:], kernel, dilation, padding, stride, strict=True
            )
        )
        field = field.reshaped((*x.shape[:-1], *sizes))
        shape = tuple(out.shape)
        dims = (len(shape) - 2, len(shape) - 1)
        field = field.transposed(shape, dims, kernel, stride, padding, dilation, why=FOLDED)
    ledger.note("fold", (x,), out, field, other=prod(x.shape), options=(("kernel_size", kernel),))


@aten("max_unpool2d", "max_unpool3d")
def unpool(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """Where a value lands depends on the image: as resizing by nearest, an upper bound."""
    field: Field = ledger.field(args[0])
    shape: Shape = tuple(out.shape)
    if field is not None:
        count = 2 if len(args) < 5 else 3
        dims = tuple(range(len(shape) - count, len(shape)))
        field = field.resized(shape, dims, "nearest", False, why=UNPOOLED)
        ledger.remark("Unpooling by index: the fields are an upper bound, as of nearest resizing.")
    ledger.note("max_unpool", args[:2], out, field)


@aten("grid_sampler_2d", "grid_sampler_3d", "grid_sampler", "_grid_sampler_2d_cpu_fallback")
def grid_sample(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """What is read depends on the grid: anything."""
    shape = tuple(out.shape)
    field = ledger.everything(shape, args[:2])
    taps = 2 ** (len(shape) - 2)
    ledger.note("grid_sample", args[:2], out, field, other=2 * taps * prod(shape))
