"""Small constants keep their values, so that a network may branch on them without being computed.

Positions, masks and index tables are made of numbers alone (`torch.arange(7)`), or are buffers.
What is made of nothing else is calculated beside its carrier; what an input or a weight goes into
is not, and a network that asks for the value of such a tensor must be computed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netwright.inspection.carriers import SMALL, NeedsValuesError
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.memory import FACTORIES
from netwright.inspection.rules.registry import tensors_in

_RANDOM = torch.Tag.nondeterministic_seeded
_BY_VALUE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def known_answer(
    ledger: Ledger, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bool, Any]:
    """(True, answer) for an operation that gives values (`.item()`) or whose shape depends on
    them (`nonzero`), from known constants; (False, None) for any other.

    Raises `NeedsValuesError` where the values are not known.
    """
    if func.overloadpacket in _INDEX or not any(tag in _BY_VALUE for tag in func.tags):
        return False, None
    there = _real(ledger, (args, kwargs))
    if there is None:
        raise NeedsValuesError(str(func.overloadpacket.__name__).strip("_"))
    real_args, real_kwargs = there
    guard = torch._C._DisableTorchDispatch()
    try:
        out = func(*real_args, **real_kwargs)
    finally:
        del guard
    if not any(True for _ in tensors_in(out)):
        return True, out
    return True, _as_carriers(ledger, func, args, out)


def keep_values(
    ledger: Ledger, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    """Calculate the values beside the carriers `out`, if `func` had nothing but constants."""
    reads = list(tensors_in((args, kwargs)))
    if not reads:
        if func.overloadpacket not in FACTORIES or _RANDOM in func.tags:
            return
    elif not ledger.constants and all(id(each) in ledger.known for each in reads):
        return
    if func._schema.is_mutable:
        _write(ledger, func, args, kwargs, reads)
        return
    results = list(tensors_in(out))
    if _RANDOM in func.tags or sum(each.numel() for each in results) > SMALL:
        return
    there = _real(ledger, (args, kwargs))
    if there is None:
        return
    values = _calculate(func, *there)
    if values is None:
        return
    for carrier, value in zip(results, tensors_in(values), strict=True):
        ledger.keep_value(carrier, value)


def _write(
    ledger: Ledger, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], reads: list[Tensor]
) -> None:
    target = reads[0]
    if id(target) not in ledger.constants:
        return
    there = _real(ledger, (args, kwargs))
    if there is None or _RANDOM in func.tags or _calculate(func, *there) is None:
        ledger.drop_values(target)


def _calculate(func: Any, args: Any, kwargs: Any) -> Any:
    if "device" in kwargs or (func.overloadpacket in FACTORIES and not _takes_tensor(args)):
        kwargs = {**kwargs, "device": torch.device("cpu")}
    guard = torch._C._DisableTorchDispatch()
    try:
        return func(*args, **kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    finally:
        del guard


def _takes_tensor(args: Any) -> bool:
    return any(True for _ in tensors_in(args))


_INDEX = (torch.ops.aten.index, torch.ops.aten._unsafe_index)


def without_masks(ledger: Ledger, func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an indexing with each mask, which takes as many elements as it has ones,
    replaced by the positions of its ones; all other arguments as they are.

    Raises `NeedsValuesError` for a mask whose values are not known.
    """
    if func.overloadpacket not in _INDEX or not any(map(_is_mask, args[1])):
        return args
    where: list[Any] = []
    for each in args[1]:
        if not _is_mask(each):
            where.append(each)
            continue
        values = ledger.value(each)
        if values is None:
            raise NeedsValuesError("index")
        guard = torch._C._DisableTorchDispatch()
        positions = values.bool().nonzero(as_tuple=True)
        del guard
        where.extend(positions)
    return (args[0], where)


def _is_mask(index: Any) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _real(ledger: Ledger, value: Any) -> Any:
    """`value` with all tensors replaced by their values; None if one is not known."""
    if isinstance(value, Tensor):
        return ledger.value(value)
    if isinstance(value, list | tuple):
        parts = [_real(ledger, each) if _holds(each) else each for each in value]
        if any(p is None and v is not None for p, v in zip(parts, value, strict=True)):
            return None
        return type(value)(parts)
    if isinstance(value, dict):
        found = {key: _real(ledger, each) if _holds(each) else each for key, each in value.items()}
        return None if any(found[k] is None and value[k] is not None for k in value) else found
    return value


def _holds(value: Any) -> bool:
    return isinstance(value, Tensor | list | tuple | dict)


def _as_carriers(ledger: Ledger, func: Any, args: Any, out: Any) -> Any:
    """The results of an operation on constants, as carriers that keep their values."""

    def carry(value: Tensor) -> Tensor:
        carrier = ledger.fresh(value.shape, value.dtype)
        ledger.note(func.overloadpacket.__name__.strip("_"), tuple(tensors_in(args)), carrier)
        ledger.keep_value(carrier, value)
        return carrier

    if isinstance(out, Tensor):
        return carry(out)
    return type(out)(carry(each) if isinstance(each, Tensor) else each for each in out)
