"""Tensors joined, repeated, turned and moved: data is copied, nothing is calculated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function
from netwright.records.inspection import Shape


@function(torch.cat, torch.concat, torch.concatenate)
def cat(ledger: Ledger, tensors: Any, dim: Any = 0) -> Any:
    if not isinstance(tensors, list | tuple) or not tensors or type(dim) is not int:
        return DECLINE
    first = tensors[0]
    if not all(isinstance(each, Tensor) for each in tensors):
        return DECLINE
    shape = list(first.shape)
    if not -len(shape) <= dim < len(shape):
        return DECLINE
    dim %= len(shape)
    total = 0
    for each in tensors:
        mine = list(each.shape)
        if len(mine) != len(shape) or each.dtype != first.dtype or not each.is_contiguous():
            return DECLINE
        total += mine[dim]
        mine[dim] = shape[dim]
        if mine != shape:
            return DECLINE
    shape[dim] = total
    out = ledger.fresh(shape, first.dtype)
    _note_cat(ledger, tensors, dim, out)
    return out


def _note_cat(ledger: Ledger, tensors: Any, dim: int, out: Tensor) -> None:
    fields = _fields(ledger, tensors)
    field = None if fields is None else TensorField.concatenated(dim, *fields)
    ledger.note("cat", tensors, out, field, options=(("dim", dim),))


def _fields(ledger: Ledger, tensors: Any) -> list[TensorField] | None:
    """The fields of tensors, blank ones for constants; None where all are constants."""
    fields = [ledger.field(each) for each in tensors]
    if all(each is None for each in fields):
        return None
    return [
        TensorField.blank(tuple(tensor.shape), ledger.axes) if field is None else field
        for tensor, field in zip(tensors, fields, strict=True)
    ]


@aten("cat", "concat")
def aten_cat(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    # torch lets old code join an empty vector of shape (0,) with anything.
    tensors = [each for each in args[0] if each.ndim == out.ndim]
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    _note_cat(ledger, tensors, dim % max(out.ndim, 1), out)


@aten("stack")
def stack(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out.ndim
    fields = _fields(ledger, args[0])
    field = None if fields is None else TensorField.stacked(dim, *fields)
    ledger.note("stack", args[0], out, field, options=(("dim", dim),))


@aten("flip")
def flip(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    for dim in args[1] if field is not None else ():
        field = field.flipped(dim % out.ndim)  # type: ignore[union-attr]
    ledger.note("flip", args[:1], out, field)


@aten("roll")
def roll(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    shifts = args[1]
    dims = args[2] if len(args) > 2 else []
    if field is not None:
        if not dims:
            field = ledger.everything(tuple(out.shape), args[:1])
        for shift, dim in zip(shifts, dims, strict=False):
            assert field is not None
            field = field.rolled(dim % out.ndim, shift)
    ledger.note("roll", args[:1], out, field)


@aten("repeat", "tile")
def repeat(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = _repeated(ledger, ledger.field(args[0]), tuple(args[1]), tuple(out.shape))
    ledger.note("repeat", args[:1], out, field)


def _repeated(ledger: Ledger, field: Field, times: tuple[int, ...], shape: Shape) -> Field:
    if field is None:
        return None
    lead = len(shape) - len(field.shape)
    field = field.reshaped((*(1,) * lead, *field.shape))
    for dim, count in enumerate(times):
        if count == 0:
            return TensorField.blank(shape, ledger.axes)
        if count > 1:
            if field.shape[dim] == 1:
                wide = (*field.shape[:dim], count, *field.shape[dim + 1 :])
                field = field.expanded(wide)
            else:
                field = TensorField.concatenated(dim, *(field,) * count)
    return field
