"""What torch's kernels refuse and its shape inference takes: said here in the words of torch.

Each check gets the arguments of an operation before it runs on carriers, and raises what the
kernel would raise. `tests/inspection/test_tracing_rules.py` holds the pass against kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

CHECKS: dict[Any, Callable[..., None]] = {}


def _check(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(check: Callable[..., None]) -> Callable[..., None]:
        for name in names:
            if hasattr(torch.ops.aten, name):
                CHECKS[getattr(torch.ops.aten, name)] = check
        return check

    return register


@_check("convolution", "_convolution")
def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *rest: Any,
) -> None:
    channels = x.shape[1] if x.ndim == weight.ndim else x.shape[0] if x.ndim else 0
    if groups < 1:
        raise RuntimeError("non-positive groups is not supported")
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size {list(weight.shape)} instead"
        )
    expected = weight.shape[0] if transposed else weight.shape[1] * groups
    if channels != expected:
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}groups={groups}, "
            f"weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{expected} channels, but got {channels} channels instead"
        )
    out = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and tuple(bias.shape) != (out,):
        raise RuntimeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{out} elements, but got bias of size {list(bias.shape)} instead"
        )
    if transposed:
        count = weight.ndim - 2
        extra, steps, spread = (
            list(each) * (count if len(each) == 1 else 1)
            for each in (output_padding, stride, dilation)
        )
        if any(e >= s and e >= d for e, s, d in zip(extra, steps, spread, strict=True)):
            raise RuntimeError("output padding must be smaller than either stride or dilation")


@_check("sub", "sub_", "rsub")
def subtraction(left: Any, right: Any, *rest: Any, **more: Any) -> None:
    for each in (left, right):
        if each is True or each is False or (isinstance(each, Tensor) and each.dtype is torch.bool):
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported."
            )


@_check("_softmax", "_log_softmax", "cumsum", "cumprod")
def dimension(x: Tensor, dim: int, *rest: Any, **more: Any) -> None:
    rank = max(x.ndim, 1)
    if not -rank <= dim < rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], "
            f"but got {dim})"
        )


@_check("hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_", "elu", "elu_", "gelu", "gelu_",
        "silu", "silu_", "mish", "mish_", "softplus", "leaky_relu", "leaky_relu_",
        "hardshrink", "softshrink", "log_sigmoid_forward", "_prelu_kernel")  # fmt: skip
def fractions(x: Tensor, *rest: Any, **more: Any) -> None:
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        kind = {torch.int64: "Long", torch.int32: "Int", torch.uint8: "Byte", torch.bool: "Bool"}
        raise RuntimeError(f"not implemented for '{kind.get(x.dtype, x.dtype)}'")


@_check("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_fused_attention_overrideable")  # fmt: skip
def attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **more: Any) -> None:
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"query {list(query.shape)}, key {list(key.shape)} and value {list(value.shape)} "
            "do not fit together"
        )
