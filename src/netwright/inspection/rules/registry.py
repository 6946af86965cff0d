"""Where rules are kept: by the function that was called, or by the operation torch runs.

A rule for a function computes nothing: it looks at shapes, makes the carrier of the result, writes
the operation into the ledger and gives the carrier back; or `DECLINE`, for anything it is not
sure of. What torch refuses a rule must decline, so that torch says why. A rule for an operation
(one floor down) writes down what torch already ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from netwright.inspection.ledger import Ledger

DECLINE: Any = object()

FunctionRule = Callable[..., Any]
"""(ledger, *args, **kwargs) as the function takes them -> result or DECLINE."""

Describe = Callable[[Ledger, tuple[Any, ...], dict[str, Any], Any], None]
"""(ledger, args, kwargs, result): writes the operation down."""


@dataclass(frozen=True)
class AtenRule:
    """`describe` writes down; `run` (if any) gives the carriers of the result or DECLINE;
    `values`: the result depends on the values of tensors, `run` must find them or fail."""

    describe: Describe
    run: Callable[[Ledger, tuple[Any, ...], dict[str, Any]], Any] | None = None


FUNCTIONS: dict[Any, FunctionRule] = {}
ATEN: dict[Any, AtenRule] = {}

_R = TypeVar("_R", bound=Callable[..., Any])


def function(*functions: Any) -> Callable[[_R], _R]:
    """Register the decorated rule for these functions."""

    def register(rule: _R) -> _R:
        for each in dict.fromkeys(functions):
            assert each not in FUNCTIONS, each
            FUNCTIONS[each] = rule
        return rule

    return register


def aten(*names: str) -> Callable[[_R], _R]:
    """Register the decorated `Describe` for `torch.ops.aten.<name>`, where torch has it."""

    def register(rule: _R) -> _R:
        for name in names:
            packet = getattr(torch.ops.aten, name, None)
            if packet is not None:
                assert packet not in ATEN, name
                ATEN[packet] = AtenRule(rule)
        return rule

    return register


def methods(*names: str) -> tuple[Any, ...]:
    """`torch.<name>` and `Tensor.<name>`, where they are.

    >>> len(methods("relu", "matmul"))
    4
    """
    found = []
    for name in names:
        for owner in (torch, Tensor):
            if hasattr(owner, name):
                found.append(getattr(owner, name))
    return tuple(found)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in arguments or results, in order, whatever holds them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from tensors_in(each)


def many(value: Any, count: int) -> tuple[int, ...] | None:
    """One int for each of `count` axes; None for what is no such thing.

    >>> many(3, 2), many((1, 2), 2), many([4], 2), many("same", 2)
    ((3, 3), (1, 2), (4, 4), None)
    """
    if type(value) is int:
        return (value,) * count
    if type(value) is tuple and len(value) == count == 2:  # what most layers hold
        return value if type(value[0]) is type(value[1]) is int else None
    if isinstance(value, list | tuple) and all(type(each) is int for each in value):
        if len(value) == count:
            return tuple(value)
        if len(value) == 1:
            return (value[0],) * count
    return None
