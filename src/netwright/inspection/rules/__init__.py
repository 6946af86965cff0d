"""What each operation costs and sees: one file for each family of operations."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import torch
from torch import Tensor

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import ATEN, DECLINE, FUNCTIONS, AtenRule, tensors_in

for _leaf in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_leaf.name}")

from netwright.inspection.rules.elementwise import describe_pointwise  # noqa: E402

__all__ = ["ATEN", "DECLINE", "FUNCTIONS", "describe"]

_POINTWISE = torch.Tag.pointwise


def describe(
    ledger: Ledger,
    rule: AtenRule | None,
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    out: Any,
) -> None:
    """Write down an operation that torch ran: by its rule, as an elementwise one if torch says it
    is, or as one without a rule."""
    results = [out] if isinstance(out, Tensor) else list(tensors_in(out))
    if not results and not func._schema.is_mutable:
        return  # a question: shape, device, a value
    if rule is not None:
        rule.describe(ledger, args, kwargs, out)
        return
    name = func.overloadpacket.__name__.strip("_")
    reads = tuple(tensors_in((args, kwargs)))
    written = func._schema.is_mutable
    if _POINTWISE in func.tags:
        describe_pointwise(ledger, name, reads, out, inplace=written)
        return
    why = f"{name} has no rule"
    fields = [ledger.unknown(tuple(each.shape), reads, why) for each in results]
    ledger.note(name, reads, results, fields=fields, ruled=False, inplace=written)
