"""Views: the same memory under another shape. They cost nothing; their fields follow the axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.inspection.carriers import Field
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function
from netwright.records.inspection import Shape


def _real(ledger: Ledger, x: Any, make: Callable[[], Tensor]) -> Tensor | None:
    """The view as torch makes it (of a carrier that costs little); None where torch refuses."""
    if ledger.compute is not None:
        return ledger.ask()
    guard = torch._C._DisableTorchDispatch()
    try:
        return make()
    except (RuntimeError, IndexError, TypeError):
        return None
    finally:
        del guard


def _reshaping(name: str, make: Any) -> Any:
    def rule(ledger: Ledger, input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        if id(input) not in ledger.known or not input.is_contiguous():
            return DECLINE
        out = _real(ledger, input, lambda: make(input, *args, **kwargs))
        if out is None:
            return DECLINE
        if out is input:
            return out
        field = ledger.field(input)
        if field is not None:
            field = field.reshaped(tuple(out.shape))
        ledger.note(name, (input,), out, field, of=input)
        return out

    return rule


for _name in ("flatten", "reshape", "unsqueeze"):
    _rule = _reshaping(_name, getattr(torch, _name) if _name != "reshape" else Tensor.reshape)
    function(getattr(torch, _name))(_rule)
    if getattr(Tensor, _name) is not getattr(torch, _name):
        function(getattr(Tensor, _name))(_rule)


@function(Tensor.view)
def view(ledger: Ledger, input: Tensor, *sizes: Any) -> Any:  # noqa: A002
    if not sizes or isinstance(sizes[0], torch.dtype):
        return DECLINE
    return _as_view(ledger, input, *sizes)


_as_view = _reshaping("view", Tensor.view)


def _permuting(name: str, make: Any, order: Callable[..., tuple[int, ...]]) -> Any:
    def rule(ledger: Ledger, input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        if id(input) not in ledger.known:
            return DECLINE
        out = _real(ledger, input, lambda: make(input, *args, **kwargs))
        if out is None:
            return DECLINE
        field = ledger.field(input)
        if field is not None:
            field = field.permuted(order(input.ndim, *args, **kwargs))
        ledger.note(name, (input,), out, field, of=input)
        return out

    return rule


def _swap(rank: int, dim0: int, dim1: int) -> tuple[int, ...]:
    dims = list(range(rank))
    if rank:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return tuple(dims)


def _order(rank: int, *dims: Any) -> tuple[int, ...]:
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    return tuple(each % rank for each in given)


_rule = _permuting("transpose", Tensor.transpose, _swap)
function(torch.transpose)(_rule)
function(Tensor.transpose)(_rule)
_rule = _permuting("permute", Tensor.permute, _order)
function(Tensor.permute)(_rule)
function(torch.permute)(_rule)


# --- as torch runs them ------------------------------------------------------------------------


def _noted(ledger: Ledger, name: str, x: Tensor, out: Tensor, field: Field) -> None:
    ledger.note(name, (x,), out, field, of=x)


@aten("view", "_unsafe_view", "_reshape_alias", "reshape", "flatten", "unsqueeze", "squeeze",
      "unsqueeze_", "squeeze_", "unflatten", "view_as")  # fmt: skip
def reshaped(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x = args[0]
    shape = tuple(out.shape)
    field = ledger.field(x)
    if field is not None and field.shape != shape:
        if prod(field.shape) == prod(shape):
            field = field.reshaped(shape)
        else:  # a view as another type of another size
            field = field.unknown(shape, "a view as another type")
    _noted(ledger, "view", x, out, field)


@aten("detach", "alias", "lift_fresh", "lift", "detach_", "requires_grad_", "_fw_primal",
      "view_as_real", "view_as_complex", "conj", "_conj", "_neg_view", "positive")  # fmt: skip
def same(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x = args[0]
    field = ledger.field(x)
    if field is not None and field.shape != tuple(out.shape):
        field = field.unknown(tuple(out.shape), "a complex view")
    _noted(ledger, "alias", x, out, field)


@aten("permute")
def permuted(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    if field is not None:
        field = field.permuted(_order(args[0].ndim, args[1]))
    _noted(ledger, "permute", args[0], out, field)


@aten("transpose", "transpose_", "t", "t_", "swapaxes")
def transposed(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    if field is not None and args[0].ndim > 1:
        dims = args[1:3] if len(args) > 2 else (0, 1)
        field = field.permuted(_swap(args[0].ndim, *dims))
    _noted(ledger, "transpose", args[0], out, field)


@aten("expand", "broadcast_to", "expand_as")
def expanded(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    if field is not None:
        field = field.expanded(tuple(out.shape))
    _noted(ledger, "expand", args[0], out, field)


def part(
    ledger: Ledger, field: Field, shape: Shape, dim: int, start: int, step: int, *, drop: bool
) -> Field:
    """The field of rows start, start + step, ... along `dim`; with `drop` of one, without it."""
    if field is None:
        return None
    if not drop:
        return field.sliced(shape, dim, start, step)
    kept = (*field.shape[:dim], 1, *field.shape[dim + 1 :])
    return field.sliced(kept, dim, start, 1).reshaped(shape)


def slice_start(size: int, start: Any) -> int:
    """Where a slice along `size` rows begins.

    >>> slice_start(5, None), slice_start(5, -2), slice_start(5, 9)
    (0, 3, 5)
    """
    if start is None:
        return 0
    return max(0, start + size) if start < 0 else min(start, size)


@aten("slice")
def sliced(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    given: tuple[Any, ...] = (*args, *(0, None, None, 1)[len(args) - 1 :])
    x, dim, start, _, step = given
    dim %= x.ndim
    if tuple(out.shape) == tuple(x.shape) and step == 1:
        field = ledger.field(x)
    else:
        first = slice_start(x.shape[dim], start)
        field = part(ledger, ledger.field(x), tuple(out.shape), dim, first, step, drop=False)
    _noted(ledger, "slice", x, out, field)


@aten("select")
def selected(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x, dim, index = args[:3]
    dim %= x.ndim
    row = int(index) % max(x.shape[dim], 1)
    field = part(ledger, ledger.field(x), tuple(out.shape), dim, row, 1, drop=True)
    _noted(ledger, "select", x, out, field)


@aten("narrow")
def narrowed(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    x, dim, start = args[:3]
    dim %= x.ndim
    first = int(start) % max(x.shape[dim], 1)
    field = part(ledger, ledger.field(x), tuple(out.shape), dim, first, 1, drop=False)
    _noted(ledger, "slice", x, out, field)


@aten("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk",
      "unsafe_split_with_sizes")  # fmt: skip
def split(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x = args[0]
    dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % x.ndim
    field, start, fields = ledger.field(x), 0, []
    for each in out:
        fields.append(part(ledger, field, tuple(each.shape), dim, start, 1, drop=False))
        start += each.shape[dim]
    ledger.note("split", (x,), out, fields=fields, of=x)


@aten("unbind")
def unbound(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    x = args[0]
    dim = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % x.ndim
    field = ledger.field(x)
    fields = [
        part(ledger, field, tuple(each.shape), dim, row, 1, drop=True)
        for row, each in enumerate(out)
    ]
    ledger.note("unbind", (x,), out, fields=fields, of=x)


@aten("unfold")
def unfolded(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """Sliding windows as a new last axis: an upper bound, each element sees its window."""
    x, dim, size, step = args[:4]
    field = ledger.field(x)
    if field is not None:
        dim %= max(x.ndim, 1)
        shape = tuple(out.shape)
        field = field.windows(shape[:-1], (dim,), (size,), (step,), (0,), (1,))
        field = field.reshaped((*shape[:-1], 1)).expanded(shape)
    ledger.note("unfold", (x,), out, field, of=x)


@aten("as_strided", "diagonal", "real", "imag", "as_strided_", "_indices", "_values")
def other_views(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    shape = tuple(out.shape)
    _noted(ledger, "as_strided", args[0], out, ledger.everything(shape, args[:1]))
