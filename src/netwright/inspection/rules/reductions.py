"""Sums, means, extremes along dimensions: one other operation for each element read."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function


def _mean(name: str) -> Any:
    def rule(
        ledger: Ledger,
        input: Tensor,  # noqa: A002
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
    ) -> Any:
        shape = tuple(input.shape)
        rank = len(shape)
        if dtype is not None or not input.dtype.is_floating_point or not rank:
            return DECLINE
        if dim is None:
            dims: tuple[Any, ...] = tuple(range(rank))
        else:
            dims = tuple(dim) if isinstance(dim, list | tuple) else (dim,)
            dims = dims or tuple(range(rank))
        if not all(type(each) is int and -rank <= each < rank for each in dims):
            return DECLINE
        where = {each % rank for each in dims}
        if len(where) != len(dims) or type(keepdim) is not bool:
            return DECLINE
        out_shape = [
            1 if d in where else size for d, size in enumerate(shape) if keepdim or d not in where
        ]
        out = ledger.fresh(out_shape, input.dtype)
        describe_reduction(ledger, name, input, out, tuple(sorted(where)), keepdim)
        return out

    return rule


for _name in ("mean", "sum", "amax", "amin"):
    for _owner in (torch, Tensor):
        function(getattr(_owner, _name))(_mean(_name))


def describe_reduction(
    ledger: Ledger, name: str, x: Tensor, out: Any, dims: tuple[int, ...], keepdim: bool
) -> None:
    field = ledger.field(x)
    if field is not None:
        field = field.reduced(dims, keepdim)
    ledger.note(name, (x,), out, field, other=prod(x.shape), options=(("dim", dims),))


@aten("sum", "mean", "amax", "amin", "max", "min", "prod", "any", "all", "var", "std", "var_mean",
      "std_mean", "argmax", "argmin", "logsumexp", "norm", "linalg_vector_norm", "median",
      "nanmedian", "mode", "aminmax", "nansum", "count_nonzero", "kthvalue")  # fmt: skip
def reduced(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    first = out if isinstance(out, Tensor) else out[0]
    x = args[0]
    if len(args) > 1 and isinstance(args[1], Tensor):  # max of two tensors
        shape = tuple(first.shape)
        field = ledger.union(shape, args[:2])
        ledger.note("maximum", args[:2], out, field, other=prod(shape))
        return
    shape, given = tuple(first.shape), tuple(x.shape)
    name = "reduce"
    dims, keepdim = _reduced_dims(args, kwargs, given, shape)
    if dims is None:
        field = ledger.everything(shape, (x,))
    else:
        field = ledger.field(x)
        if field is not None:
            field = field.reduced(dims, keepdim)
    ledger.note(name, (x,), out, field, other=prod(given), options=(("dim", dims),))


def _reduced_dims(
    args: Any, kwargs: Any, given: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[int, ...] | None, bool]:
    """The dimensions that were summed away: those said that make the shape what it is."""
    rank = len(given)
    if not shape and rank:
        return tuple(range(rank)), False
    for each in (*args[1:], kwargs.get("dim")):
        if isinstance(each, bool) or not isinstance(each, int | list | tuple):
            continue
        dims = (each,) if isinstance(each, int) else tuple(each)
        if not all(isinstance(d, int) and -rank <= d < rank for d in dims):
            continue
        where = {d % rank for d in dims}
        kept = tuple(1 if d in where else size for d, size in enumerate(given))
        if shape == kept:
            return tuple(sorted(where)), True
        if shape == tuple(size for d, size in enumerate(given) if d not in where):
            return tuple(sorted(where)), False
    return None, False


@aten("topk", "sort", "argsort", "msort")
def sorted_along(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    first = out if isinstance(out, Tensor) else out[0]
    field = ledger.everything(tuple(first.shape), args[:1])
    ledger.note("sort", args[:1], out, field, other=prod(args[0].shape))


@aten("cdist", "_cdist_forward", "_euclidean_dist", "_pdist_forward")
def distances(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """3 for each pair and feature: difference, square, sum."""
    tensors = [each for each in args[:2] if isinstance(each, Tensor)]
    field = ledger.everything(tuple(out.shape), tensors)
    other = 3 * prod(out.shape) * tensors[0].shape[-1]
    ledger.note("cdist", tensors, out, field, other=other)
