"""Elements picked out or written by their index: what is read depends on values."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from netwright.arithmetic.fields import TensorField
from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import aten, tensors_in
from netwright.inspection.rules.views import slice_start
from netwright.records.inspection import Shape


@aten("embedding", "_embedding_bag", "_embedding_bag_forward_only")
def embedding(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    """Rows of a table: nothing is calculated (a bag adds them up)."""
    first = out if isinstance(out, Tensor) else out[0]
    bag = first.ndim < args[1].ndim + 1 if isinstance(args[1], Tensor) else False
    other = prod(args[1].shape) * first.shape[-1] if bag else 0
    field = ledger.everything(tuple(first.shape), args[:2])
    ledger.note("embedding", args[:2], out, field, other=other)


@aten("index_select")
def index_select(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x, dim, index = args[:3]
    field = _picked(ledger, x, {dim % max(x.ndim, 1): index}, tuple(out.shape))
    ledger.note("index_select", (x, index), out, field)


@aten("gather", "take", "take_along_dim")
def gather(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    tensors = [each for each in args if isinstance(each, Tensor)]
    field = ledger.everything(tuple(out.shape), tensors)
    ledger.note("gather", tensors, out, field)


@aten("index", "_unsafe_index")
def index(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x, where = args[:2]
    used = {dim: each for dim, each in enumerate(where) if each is not None}
    shape = tuple(out.shape)
    one = len(used) == 1 and next(iter(used.values())).ndim == 1
    if one:
        field = _picked(ledger, x, used, shape)
    else:
        field = ledger.everything(shape, (x, *used.values()))
    ledger.note("index", (x, *used.values()), out, field)


def _picked(ledger: Ledger, x: Tensor, where: dict[int, Tensor], shape: Shape) -> Field:
    """Rows along one dimension: which, if the index is a known constant, else any of them."""
    field = ledger.field(x)
    ((dim, index),) = where.items()
    if field is None:
        return ledger.everything(shape, (index,))
    values = ledger.value(index)
    if values is not None and values.dtype != values.bool().dtype:
        size = x.shape[dim]
        rows = [int(each) % size for each in values.reshape(-1).tolist()]
        if len(rows) == shape[dim] and len(shape) == x.ndim:
            return field.indexed(shape, dim, rows)
    return ledger.everything(shape, (x,))


@aten("index_put_", "index_put", "_index_put_impl_", "_unsafe_index_put", "scatter_", "scatter",
      "scatter_add_", "scatter_add", "scatter_reduce_", "scatter_reduce", "index_add_",
      "index_add", "index_copy_", "index_copy", "index_fill_", "index_fill", "masked_scatter_",
      "masked_scatter", "put_", "put")  # fmt: skip
def written_by_index(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    tensors = list(tensors_in(args))
    shape = tuple(out.shape)
    field: Field = ledger.field(args[0])
    written = ledger.everything(shape, tensors[1:])
    if written is not None:
        field = written if field is None else TensorField.join(shape, field, written)
    inplace = out is args[0]
    ledger.note("index_put", tensors, out, field, inplace=inplace)


@aten("slice_scatter", "select_scatter")
def scattered(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """A copy with a part of it written over, at some rows or at one."""
    x, part = args[:2]
    shape = tuple(out.shape)
    named = {**dict(zip(("dim", "start", "end", "step"), args[2:], strict=False)), **kwargs}
    dim = named.get("dim", 0) % x.ndim
    before, after = ledger.field(x), ledger.field(part)
    field = before
    if after is not None or before is not None:
        before = before or TensorField.blank(shape, ledger.axes)
        after = after or TensorField.blank(tuple(part.shape), ledger.axes)
        if part.ndim < x.ndim:
            first = (named["index"] if "index" in named else named["start"]) % shape[dim]
            after = after.reshaped((*shape[:dim], 1, *shape[dim + 1 :]))
        else:
            first = slice_start(shape[dim], named.get("start"))
        field = before.written(after, {dim: (first, named.get("step", 1))})
    ledger.note("copy", args[:2], out, field)


@aten("diagonal_scatter", "as_strided_scatter")
def scattered_anywhere(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """A copy with numbers of it written over: any of them."""
    shape = tuple(out.shape)
    found = [ledger.field(args[0]), ledger.everything(shape, args[1:2])]
    seeing = [each for each in found if each is not None]
    field = TensorField.join(shape, *seeing) if seeing else None
    ledger.note("copy", args[:2], out, field)


@aten("nonzero", "masked_select", "unique", "_unique2", "unique_dim", "unique_consecutive",
      "repeat_interleave", "bincount", "histc")  # fmt: skip
def by_value(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    """The very shape depends on values: this runs in a concrete pass only."""
    tensors = list(tensors_in(args))
    for each in tensors_in(out):
        field = ledger.everything(tuple(each.shape), tensors)
        ledger.note("pick", tensors, each, field, other=prod(tensors[0].shape))
