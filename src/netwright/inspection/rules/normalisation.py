"""Norms and softmax.

Other operations for each element: batch norm in evaluation 2 (scale, shift); a norm that takes
its own statistics 5 (sum, squares and their sum, scale, shift); softmax 5 (largest, subtract,
exponential, sum, divide).
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function, methods

_FIXED = 2
_MEASURED = 5
_SOFTMAX = 5
_BATCH = "Batch norms in training mode see the whole batch; the fields are those of evaluation."


def _vector(tensor: Tensor | None, size: int) -> bool:
    return tensor is None or (tensor.shape == (size,))


def _float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.is_floating_point and x.is_contiguous()


@function(F.batch_norm)
def batch_norm(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    shape = tuple(input.shape)
    if len(shape) < 2 or not _float(input) or 0 in shape:
        return DECLINE
    one = shape[1:2]
    for each in (running_mean, running_var, weight, bias):
        if each is not None and each.shape != one:
            return DECLINE
    if training:
        if prod(shape) == one[0]:  # torch refuses one value per channel
            return DECLINE
        ledger.remark(_BATCH)
    elif running_mean is None or running_var is None:
        return DECLINE
    return ledger.make(
        "batch_norm",
        (input, weight, bias) if training else (input, weight, bias, running_mean, running_var),
        shape,
        input.dtype,
        ledger.field(input),
        other=(_MEASURED if training else _FIXED) * prod(shape),
        options=(("training", training),),
    )


@aten("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
      "_native_batch_norm_legit_functional", "_batch_norm_with_update", "_batch_norm_no_update",
      "cudnn_batch_norm", "miopen_batch_norm", "batch_norm", "_batch_norm_impl_index")  # fmt: skip
def aten_batch_norm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    first = out if isinstance(out, Tensor) else out[0]
    training = any(each is True for each in args[3:6])
    if training:
        ledger.remark(_BATCH)
    ledger.note(
        "batch_norm",
        args[:3] if training else [each for each in args[:5] if isinstance(each, Tensor)],
        out,
        fields=(ledger.field(args[0]), None, None, None),
        other=(_MEASURED if training else _FIXED) * prod(first.shape),
        options=(("training", training),),
    )


def _measured(
    ledger: Ledger,
    name: str,
    x: Tensor,
    reads: tuple[Any, ...],
    out: Any,
    dims: tuple[int, ...],
    options: tuple[tuple[str, Any], ...],
) -> None:
    """A norm whose statistics are taken along `dims`."""
    field = ledger.field(x)
    if field is not None:
        field = field.spread(dims)
    ledger.note(
        name, (x, *reads), out, fields=(field, None, None), other=_MEASURED * prod(x.shape),
        options=options,
    )  # fmt: skip


@function(F.layer_norm)
def layer_norm(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    shape, inner = tuple(input.shape), tuple(normalized_shape)
    if (
        not inner
        or shape[-len(inner) :] != inner
        or not _float(input)
        or not all(each is None or tuple(each.shape) == inner for each in (weight, bias))
    ):
        return DECLINE
    out = ledger.fresh(shape, input.dtype)
    dims = tuple(range(len(shape) - len(inner), len(shape)))
    _measured(ledger, "layer_norm", input, (weight, bias), out, dims,
              (("normalized_shape", inner),))  # fmt: skip
    return out


@aten("native_layer_norm")
def aten_layer_norm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x, inner = args[0], tuple(args[1])
    dims = tuple(range(x.ndim - len(inner), x.ndim))
    _measured(ledger, "layer_norm", x, tuple(args[2:4]), out, dims, (("normalized_shape", inner),))


@function(F.rms_norm, torch.rms_norm)
def rms_norm(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    normalized_shape: Any,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    shape, inner = tuple(input.shape), tuple(normalized_shape)
    if (
        not inner
        or shape[-len(inner) :] != inner
        or not _float(input)
        or (weight is not None and tuple(weight.shape) != inner)
    ):
        return DECLINE
    out = ledger.fresh(shape, input.dtype)
    dims = tuple(range(len(shape) - len(inner), len(shape)))
    _measured(ledger, "rms_norm", input, (weight,), out, dims, (("normalized_shape", inner),))
    return out


@aten("_fused_rms_norm")
def aten_rms_norm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x, inner = args[0], tuple(args[1])
    dims = tuple(range(x.ndim - len(inner), x.ndim))
    _measured(ledger, "rms_norm", x, (args[2],), out, dims, (("normalized_shape", inner),))


@function(F.group_norm)
def group_norm(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    shape = tuple(input.shape)
    if (
        len(shape) < 2
        or num_groups < 1
        or shape[1] % num_groups
        or not _vector(weight, shape[1])
        or not _vector(bias, shape[1])
        or not _float(input)
        or 0 in shape
        or prod(shape[2:]) * shape[0] * shape[1] // num_groups <= 1
    ):
        return DECLINE
    out = ledger.fresh(shape, input.dtype)
    _measured(ledger, "group_norm", input, (weight, bias), out, tuple(range(2, len(shape))),
              (("num_groups", num_groups),))  # fmt: skip
    return out


@aten("native_group_norm")
def aten_group_norm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x = args[0]
    groups = args[6]
    _measured(ledger, "group_norm", x, tuple(args[1:3]), out, tuple(range(2, x.ndim)),
              (("num_groups", groups),))  # fmt: skip


@function(F.instance_norm)
def instance_norm(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    shape = tuple(input.shape)
    if (
        len(shape) < 3
        or not _float(input)
        or 0 in shape
        or not all(_vector(each, shape[1]) for each in (running_mean, running_var, weight, bias))
    ):
        return DECLINE
    if use_input_stats:
        if prod(shape[2:]) == 1:
            return DECLINE
        out = ledger.fresh(shape, input.dtype)
        _measured(ledger, "instance_norm", input, (weight, bias), out,
                  tuple(range(2, len(shape))), ())  # fmt: skip
        return out
    if running_mean is None or running_var is None:
        return DECLINE
    out = ledger.fresh(shape, input.dtype)
    reads = (input, weight, bias, running_mean, running_var)
    ledger.note("instance_norm", reads, out, ledger.field(input), other=_FIXED * prod(shape))
    return out


def _softmax(name: str) -> Any:
    def rule(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        dim: int | None = None,
        dtype: Any = None,
        _stacklevel: int = 3,
    ) -> Any:
        shape = tuple(input.shape)
        if dim is None or dtype is not None or not _float(input) or not shape:
            return DECLINE
        if not -len(shape) <= dim < len(shape):
            return DECLINE
        out = ledger.fresh(shape, input.dtype)
        _note_softmax(ledger, name, input, dim, out)
        return out

    return rule


def _note_softmax(ledger: Ledger, name: str, x: Tensor, dim: int, out: Tensor) -> None:
    field = ledger.field(x)
    dim %= max(x.ndim, 1)
    if field is not None and x.ndim:
        field = field.spread((dim,))
    ledger.note(name, (x,), out, field, other=_SOFTMAX * prod(x.shape), options=(("dim", dim),))


for _name in ("softmax", "log_softmax"):
    _rule = _softmax(_name)
    for _found in {getattr(F, _name), *methods(_name)}:
        function(_found)(_rule)


@aten("_softmax", "_safe_softmax", "softmax", "special_softmax")
def aten_softmax(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    _note_softmax(ledger, "softmax", args[0], args[1], out)


@aten("_log_softmax", "log_softmax")
def aten_log_softmax(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    _note_softmax(ledger, "log_softmax", args[0], args[1], out)


@aten("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def cumulated(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x, dim = args[0], args[1]
    field = ledger.field(x)
    if field is not None and x.ndim:
        field = field.spread((dim % x.ndim,))
    first = out if isinstance(out, Tensor) else out[0]
    ledger.note("cumulate", (x,), out, field, other=prod(first.shape), options=(("dim", dim),))
