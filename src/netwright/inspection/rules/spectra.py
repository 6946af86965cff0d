"""Fourier transforms: 5 N log2 N other operations for a complex transform of N elements."""

from __future__ import annotations

from math import ceil, log2, prod
from typing import Any

from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import aten


@aten("_fft_c2c", "_fft_r2c", "_fft_c2r")
def transform(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    """Every result along the transformed axes sees all of them."""
    x, dims = args[:2]
    size = max(prod(x.shape), prod(out.shape))
    length = prod(max(x.shape[dim], out.shape[dim]) for dim in dims)
    field = ledger.field(x)
    if field is not None:
        field = field.spread(tuple(dim % x.ndim for dim in dims))
        if field.shape != tuple(out.shape):
            field = ledger.everything(tuple(out.shape), (x,))
    other = ceil(5 * size * log2(max(length, 2)))
    ledger.note("fft", (x,), out, field, other=other, options=(("dim", tuple(dims)),))


@aten("complex", "polar")
def complex_pair(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    ledger.note("complex", args[:2], out, ledger.union(tuple(out.shape), args[:2]))


@aten("tril", "triu", "tril_", "triu_")
def triangle(ledger: Ledger, args: Any, kwargs: Any, out: Tensor) -> None:
    field = ledger.field(args[0])
    ledger.note("triangle", args[:1], out, field, inplace=out is args[0])
