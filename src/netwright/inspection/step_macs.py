"""The multiply-adds of one operation of a step, forward or backward.

The gradient of a contraction is two contractions, by its input and by its weight, and each has as
many products as the forward: a backward convolution counts its forward once for each gradient
that is asked for. (torch's own counter takes a depthwise weight gradient for a full one and
finds 33 times the forward.) Products and attention come as their own operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# (products that the mathematics needs, products computed a second time)
Work = tuple[int, int]


def multiply_adds(operation: str, args: Sequence[Any], out: Any) -> Work:
    """What the aten operation called `operation` computes; (0, 0) for what is no contraction.

    >>> multiply_adds("mm", (torch.empty(2, 3), torch.empty(3, 5)), None)
    (30, 0)
    """
    rule = _RULES.get(operation)
    return rule(args, out) if rule else (0, 0)


def _product(first: Tensor, second: Tensor) -> Work:
    columns = second.shape[-1] if second.dim() > 1 else 1
    return first.numel() * columns, 0


def _convolution(args: Sequence[Any], out: Any) -> Work:
    return _taps(args[0], args[1], out, transposed=args[6]), 0


def _convolution_backward(args: Sequence[Any], out: Any) -> Work:
    grad, image, weight, mask = args[0], args[1], args[2], args[10]
    return (mask[0] + mask[1]) * _taps(image, weight, grad, transposed=args[7]), 0


def _taps(image: Tensor, weight: Tensor, out: Tensor, *, transposed: bool) -> int:
    positions = image if transposed else out
    return positions.numel() * math.prod(weight.shape[1:])


def _attention(args: Sequence[Any], out: Any) -> Work:
    query, key, value = args[:3]
    return _scores(query, key) + _scores(query, key, value.shape[-1]), 0


def _attention_backward(args: Sequence[Any], out: Any) -> Work:
    """Two gradients of each of the two products; the scores themselves are computed anew."""
    query, key, value = args[1:4]
    scores = _scores(query, key)
    return 2 * (scores + _scores(query, key, value.shape[-1])), scores


def _scores(query: Tensor, key: Tensor, width: int | None = None) -> int:
    """Query (N, heads, L, E) and key (N, heads, S, E): L x S products of `width` or E."""
    each = query.shape[-1] if width is None else width
    return math.prod(query.shape[:-1]) * key.shape[-2] * each


def _lstm(args: Sequence[Any], out: Any) -> Work:
    steps, weight_input, weight_hidden = args[0], args[1], args[2]
    rows = steps.shape[0] * steps.shape[1]
    return rows * (weight_input.numel() + weight_hidden.numel()), 0


def _lstm_backward(args: Sequence[Any], out: Any) -> Work:
    steps, weight_input, weight_hidden = args[0], args[1], args[2]
    rows = steps.shape[0] * steps.shape[1]
    node = torch._C._current_autograd_node()
    # The kernel makes the gradient of its input in any case; it counts where one is needed.
    wanted = node is None or node.next_functions[0][0] is not None
    by_input = weight_input.numel() if wanted else 0
    return rows * (weight_input.numel() + by_input + 2 * weight_hidden.numel()), 0


_RULES: dict[str, Callable[[Sequence[Any], Any], Work]] = {
    "mm": lambda args, out: _product(args[0], args[1]),
    "mv": lambda args, out: _product(args[0], args[1]),
    "dot": lambda args, out: _product(args[0], args[1]),
    "bmm": lambda args, out: _product(args[0], args[1]),
    "addmm": lambda args, out: _product(args[1], args[2]),
    "addmv": lambda args, out: _product(args[1], args[2]),
    "addbmm": lambda args, out: _product(args[1], args[2]),
    "baddbmm": lambda args, out: _product(args[1], args[2]),
    "_addmm_activation": lambda args, out: _product(args[1], args[2]),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "mkldnn_rnn_layer": _lstm,
    "mkldnn_rnn_layer_backward": _lstm_backward,
}
