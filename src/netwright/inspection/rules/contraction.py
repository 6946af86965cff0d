"""Linear layers and matrix products: the multiply-adds of a network outside of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.elementwise import broadcast
from netwright.inspection.rules.registry import DECLINE, aten, function
from netwright.records.inspection import Shape


@function(F.linear)
def linear(
    ledger: Ledger,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
) -> Any:
    shape, taps = input.shape, weight.shape
    if (
        len(taps) != 2
        or not shape
        or shape[-1] != taps[1]
        or input.dtype != weight.dtype
        or (bias is not None and (bias.shape != (taps[0],) or bias.dtype != input.dtype))
    ):
        return DECLINE
    out_shape = (*shape[:-1], taps[0])
    out = ledger.fresh(out_shape, input.dtype)
    note_linear(ledger, input, weight, bias, out, out_shape)
    return out


def note_linear(
    ledger: Ledger, x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, shape: Shape
) -> None:
    size = prod(shape)
    dims: list[int | None] = [*range(len(shape) - 1), None]
    field = contracted(ledger, shape, (x, dims), (weight, [None] * len(shape)))
    if ledger.field(bias) is not None:
        field = _joined(shape, field, ledger.everything(shape, (bias,)))
    ledger.note(
        "linear",
        (x, weight, bias),
        out,
        field,
        macs=size * x.shape[-1],
        other=0 if bias is None else size,
        options=(("in_features", x.shape[-1]), ("out_features", shape[-1])),
    )


def contracted(ledger: Ledger, shape: Shape, *pairs: tuple[Any, Sequence[int | None]]) -> Field:
    """The field of a product summed over what the result does not have: for each factor the
    dimension of its own that each dimension of the result runs along."""
    found: list[tuple[TensorField, tuple[int | None, ...]]] = []
    for tensor, dims in pairs:
        field = ledger.field(tensor)
        if field is not None:
            found.append((field, tuple(dims)))
    return TensorField.contracted(shape, *found) if found else None


def _joined(shape: Shape, *fields: Field) -> Field:
    found = [each for each in fields if each is not None]
    return TensorField.join(shape, *found) if found else None


def _product(ledger: Ledger, input: Any, other: Any) -> Any:  # noqa: A002
    """`torch.matmul` of two tensors of at least two dimensions each."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return DECLINE
    left, right = input.shape, other.shape
    if (
        len(left) < 2
        or len(right) < 2
        or left[-1] != right[-2]
        or input.dtype != other.dtype
        or not input.dtype.is_floating_point
    ):
        return DECLINE
    batch = broadcast(left[:-2], right[:-2])
    if batch is None:
        return DECLINE
    out = ledger.fresh((*batch, left[-2], right[-1]), input.dtype)
    note_product(ledger, "matmul", input, other, out)
    return out


function(*{torch.matmul, Tensor.matmul, Tensor.__matmul__})(_product)


def note_product(
    ledger: Ledger,
    name: str,
    left: Tensor,
    right: Tensor,
    out: Tensor,
    *added: Any,
    inplace: bool = False,
) -> None:
    """Matrix product over the last two dimensions, the others broadcast; `added` to it."""
    shape = tuple(out.shape)
    rank = len(shape)
    mine = [*_batch_dims(left, shape), left.ndim - 2, None]
    yours = [*_batch_dims(right, shape), None, right.ndim - 1]
    field = contracted(ledger, shape, (left, mine), (right, yours))
    extra = ledger.union(shape, added)
    size = prod(shape)
    if extra is not None:
        field = _joined(shape, field, extra)
    assert len(mine) == len(yours) == rank
    ledger.note(
        name,
        (left, right, *added),
        out,
        field,
        macs=size * left.shape[-1],
        other=size * len(added),
        options=(("contracted", left.shape[-1]),),
        inplace=inplace,
    )


def _batch_dims(tensor: Tensor, shape: Shape) -> list[int | None]:
    behind = len(shape) - tensor.ndim
    return [None if out < behind else out - behind for out in range(len(shape) - 2)]


def _over(args: Any, kwargs: Any, out: Any) -> bool:
    """Whether the result was written over a tensor that was there: `addmm_`, `mm(out=...)`."""
    return out is args[0] or out is kwargs.get("out")


@aten("mm", "bmm", "matmul")
def mm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    over = _over(args, kwargs, out)
    note_product(ledger, "matmul", args[0], args[1], out, inplace=over)


@aten("addmm", "baddbmm", "addmm_", "baddbmm_")
def addmm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    over = _over(args, kwargs, out)
    note_product(ledger, "matmul", args[1], args[2], out, args[0], inplace=over)


@aten("_addmm_activation")
def addmm_activation(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    note_product(ledger, "matmul", args[1], args[2], out, args[0])


@aten("linear", "mkldnn_linear")
def aten_linear(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    bias = args[2] if len(args) > 2 else None
    note_linear(ledger, args[0], args[1], bias, out, tuple(out.shape))


@aten("addbmm", "addbmm_")
def addbmm(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    added, left, right = args[:3]
    shape = tuple(out.shape)
    field = contracted(ledger, shape, (left, [1, None]), (right, [None, 2]))
    field = _joined(shape, field, ledger.union(shape, (added,)))
    macs = prod(left.shape) * right.shape[2]
    ledger.note("matmul", (added, left, right), out, field, macs=macs, other=prod(shape),
                inplace=_over(args, kwargs, out))  # fmt: skip


@aten("mv", "dot", "vdot")
def mv(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    left, right = args[:2]
    shape = tuple(out.shape)
    rows: list[int | None] = [0] if shape else []
    nothing: list[int | None] = [None] * len(shape)
    field = contracted(ledger, shape, (left, rows), (right, nothing))
    ledger.note("matmul", (left, right), out, field, macs=prod(left.shape),
                inplace=_over(args, kwargs, out))  # fmt: skip


@aten("addmv", "addmv_")
def addmv(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    added, left, right = args[:3]
    shape = tuple(out.shape)
    field = contracted(ledger, shape, (left, [0]), (right, [None]))
    field = _joined(shape, field, ledger.union(shape, (added,)))
    macs = prod(left.shape)
    ledger.note("matmul", (added, left, right), out, field, macs=macs, other=prod(shape),
                inplace=_over(args, kwargs, out))  # fmt: skip


@aten("addr", "addr_")
def addr(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    shape = tuple(out.shape)
    field = contracted(ledger, shape, (args[1], [0, None]), (args[2], [None, 0]))
    field = _joined(shape, field, ledger.union(shape, (args[0],)))
    ledger.note("outer", args[:3], out, field, macs=prod(shape), other=prod(shape),
                inplace=_over(args, kwargs, out))  # fmt: skip


@aten("_trilinear")
def trilinear(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    """`nn.Bilinear`: first (N, I), weight (O, I, J), second (N, J). Every pair of features is
    formed once (other operations) and meets its weight in every result."""
    first, weight, second = args[:3]
    pairs = prod(first.shape) * second.shape[-1]
    field = ledger.everything(tuple(out.shape), (first, second))
    if first.ndim == 2 and field is not None:
        shape = tuple(out.shape)
        field = contracted(ledger, shape, (first, [0, None]), (second, [0, None]))
    ledger.note("bilinear", (first, weight, second), out, field,
                macs=first.shape[0] * prod(weight.shape), other=pairs)  # fmt: skip
