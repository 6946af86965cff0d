"""Operations that treat each element alone: one other operation for each element of the result."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function, methods


def _alone(name: str) -> Any:
    """One tensor in, one of the same shape out; whatever else is given only sets it up."""

    def rule(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        *settings: Any,
        inplace: bool = False,
        **more: Any,
    ) -> Any:
        if not _usual(input) or not all(map(_is_setting, settings)):
            return DECLINE
        if more and not all(map(_is_setting, more.values())):
            return DECLINE
        if inplace:
            return _written(ledger, name, input, (input,))
        return _of_one(ledger, name, input)

    return rule


def _of_one(ledger: Ledger, name: str, x: Tensor) -> Tensor:
    """A new tensor of the shape of `x`."""
    shape = tuple(x.shape)
    return ledger.make(name, (x,), shape, x.dtype, ledger.field(x), other=prod(shape))


def _is_setting(value: Any) -> bool:
    return value is None or type(value) in (int, float, bool, str)


def _usual(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.is_floating_point and x.is_contiguous()


def _written(ledger: Ledger, name: str, x: Tensor, reads: tuple[Any, ...]) -> Any:
    """`x` written over by an elementwise operation of its own shape."""
    known = ledger.known.get(id(x))
    if known is None:
        return DECLINE
    if ledger.compute is not None:
        ledger.ask()
    shape = known.shape
    field = known.field if len(reads) == 1 else ledger.union(shape, reads)
    ledger.note(name, reads, x, field, other=prod(shape), inplace=True)
    return x


def _alone_written(name: str) -> Any:
    def rule(ledger: Ledger, input: Tensor, *settings: Any) -> Any:  # noqa: A002
        if not _usual(input) or not all(map(_is_setting, settings)):
            return DECLINE
        return _written(ledger, name, input, (input,))

    return rule


# Functions whose other arguments are numbers; `softmax`-like ones have rules of their own.
for _name in (
    "relu", "relu6", "elu", "selu", "celu", "leaky_relu", "silu", "mish", "hardswish",
    "hardsigmoid", "hardtanh", "softplus", "softsign", "tanhshrink", "gelu", "logsigmoid",
    "sigmoid", "tanh", "hardshrink", "softshrink",
):  # fmt: skip
    _rule = _alone(_name)
    function(*{getattr(F, _name), *methods(_name)})(_rule)
for _name in ("exp", "sqrt", "rsqrt", "abs", "neg", "log", "sin", "cos", "square", "erf",
              "reciprocal", "floor", "round", "clamp", "clip"):  # fmt: skip
    function(*methods(_name))(_alone(_name))
for _name in ("relu_", "sigmoid_", "tanh_", "clamp_", "exp_", "abs_", "neg_", "sqrt_"):
    function(*methods(_name))(_alone_written(_name[:-1]))
for _name in ("relu_", "elu_", "leaky_relu_", "hardtanh_", "selu_"):
    if getattr(F, _name) not in methods(_name):
        function(getattr(F, _name))(_alone_written(_name[:-1]))


def _pair(name: str) -> Any:
    """Two tensors of equal or broadcastable shape, or a tensor and a number."""

    def rule(ledger: Ledger, input: Any, other: Any, *, alpha: Any = 1) -> Any:  # noqa: A002
        if not _usual(input):
            return DECLINE
        kind = type(other)
        if kind is float or kind is int:
            return _of_one(ledger, name, input)
        if not _usual(other) or other.dtype != input.dtype or type(alpha) not in (int, float):
            return DECLINE
        mine, yours = input.shape, other.shape
        if mine != yours:
            if not mine or not yours:
                return DECLINE
            mine = broadcast(mine, yours)
            if mine is None:
                return DECLINE
        shape = tuple(mine)
        reads = (input, other)
        field = ledger.union(shape, reads)
        return ledger.make(name, reads, shape, input.dtype, field, other=prod(shape))

    return rule


def broadcast(mine: Any, yours: Any) -> tuple[int, ...] | None:
    """The common shape, or None.

    >>> broadcast((4, 1, 3), (2, 1)), broadcast((2, 3), (3, 2))
    ((4, 2, 3), None)
    """
    length = max(len(mine), len(yours))
    found = []
    for a, b in zip(
        (1,) * (length - len(mine)) + tuple(mine),
        (1,) * (length - len(yours)) + tuple(yours),
        strict=True,
    ):
        if a != b and a != 1 and b != 1:
            return None
        found.append(b if a == 1 else a)
    return tuple(found)


def _pair_written(name: str) -> Any:
    def rule(ledger: Ledger, input: Any, other: Any, *, alpha: Any = 1) -> Any:  # noqa: A002
        if not _usual(input):
            return DECLINE
        if type(other) in (int, float):
            return _written(ledger, name, input, (input,))
        if (
            not _usual(other)
            or other.dtype != input.dtype
            or (
                input.shape != other.shape
                and broadcast(input.shape, other.shape) != tuple(input.shape)
            )
        ):
            return DECLINE
        return _written(ledger, name, input, (input, other))

    return rule


for _name in ("add", "sub", "mul", "div", "maximum", "minimum"):
    _rule = _pair(_name)
    function(*methods(_name))(_rule)
for _name, _more in (
    ("add", ("__add__", "__radd__")),
    ("sub", ("__sub__", "__rsub__")),
    ("mul", ("__mul__", "__rmul__")),
    ("div", ("__truediv__", "__rtruediv__")),
):
    for _each in _more:
        if getattr(Tensor, _each) not in methods(_name):
            function(getattr(Tensor, _each))(_pair(_name))
for _name, _dunder in (("add", "__iadd__"), ("sub", "__isub__"), ("mul", "__imul__"),
                       ("div", "__itruediv__")):  # fmt: skip
    _rule = _pair_written(_name)
    function(getattr(Tensor, _name + "_"))(_rule)
    function(getattr(Tensor, _dunder))(_rule)


@function(torch.prelu, Tensor.prelu)
def prelu(ledger: Ledger, input: Tensor, weight: Tensor) -> Any:  # noqa: A002
    shape = tuple(input.shape)
    channels = shape[1] if len(shape) > 1 else 1
    if (
        not _usual(input)
        or weight.dtype != input.dtype
        or weight.shape not in ((1,), (channels,))
        or not shape
    ):
        return DECLINE
    out = ledger.fresh(shape, input.dtype)
    field = ledger.union(shape, (input,))
    ledger.note("prelu", (input, weight), out, field, other=prod(shape))
    return out


def _dropout(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    """In evaluation it gives its very input back, and nothing runs."""
    if not isinstance(input, Tensor) or not 0 <= p <= 1:
        return DECLINE
    if not training:
        return input
    if not _usual(input):
        return DECLINE
    if inplace:
        return _written(ledger, "dropout", input, (input,))
    out = ledger.fresh(input.shape, input.dtype)
    ledger.note("dropout", (input,), out, ledger.field(input), other=prod(input.shape),
                options=(("p", p),))  # fmt: skip
    return out


function(F.dropout)(_dropout)


def _dropout_of_channels(count: int) -> Any:
    def rule(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Any:
        if not isinstance(input, Tensor) or input.ndim not in (count + 1, count + 2):
            return DECLINE
        return _dropout(ledger, input, p, training, inplace)

    return rule


for _count in (1, 2, 3):
    function(getattr(F, f"dropout{_count}d"))(_dropout_of_channels(_count))


@function(F.alpha_dropout, F.feature_alpha_dropout)
def _alpha(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    if training or not 0 <= p <= 1:
        return DECLINE
    return input


@aten("native_dropout")
def native_dropout(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    size = prod(args[0].shape)
    field = ledger.field(args[0])
    ledger.note("dropout", (args[0],), out, fields=(field, None), other=size)


def describe_pointwise(
    ledger: Ledger, name: str, reads: tuple[Tensor, ...], out: Any, *, inplace: bool
) -> None:
    """An operation of torch that is marked as pointwise, whatever it is called."""
    first = out if isinstance(out, Tensor) else out[0]
    shape = tuple(first.shape)
    field = ledger.union(shape, reads)
    ledger.note(name, reads, out, field, other=prod(shape), inplace=inplace)
