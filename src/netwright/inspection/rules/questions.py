"""What a network asks of a tensor beside calculating: its device, its type, its values.

A carrier lies nowhere; it answers with the device of the network, so that code that looks at
devices goes the way it really goes. Values it does not have: the pass then starts again and
computes. Constants that were made of numbers alone keep theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netwright.inspection.carriers import NeedsValuesError
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, FUNCTIONS, function


def _attribute(name: str) -> Any:
    return getattr(Tensor, name)


def _getter(name: str) -> Any:
    return _attribute(name).__get__


@function(_getter("device"))
def device(ledger: Ledger, x: Tensor) -> Any:
    if ledger.concrete or not x.is_meta:
        return DECLINE
    return ledger.device


@function(_getter("is_meta"))
def is_meta(ledger: Ledger, x: Tensor) -> Any:
    return DECLINE if ledger.concrete else False


@function(_getter("is_cuda"))
def is_cuda(ledger: Ledger, x: Tensor) -> Any:
    if ledger.concrete or not x.is_meta:
        return DECLINE
    return ledger.device.type == "cuda"


@function(_getter("is_cpu"))
def is_cpu(ledger: Ledger, x: Tensor) -> Any:
    if ledger.concrete or not x.is_meta:
        return DECLINE
    return ledger.device.type == "cpu"


@function(Tensor.get_device)
def get_device(ledger: Ledger, x: Tensor) -> Any:
    if ledger.concrete or not x.is_meta:
        return DECLINE
    return -1 if ledger.device.type == "cpu" else ledger.device.index or 0


@function(Tensor.to)
def to(ledger: Ledger, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Only a change of type is a copy: all carriers lie in one place."""
    if ledger.concrete or id(x) not in ledger.known or kwargs.get("copy"):
        return DECLINE
    dtype = kwargs.get("dtype")
    layout = kwargs.get("memory_format")
    for each in args:
        if isinstance(each, torch.dtype):
            dtype = each
        elif isinstance(each, Tensor):
            dtype = each.dtype
        elif isinstance(each, torch.memory_format):
            layout = each
    if isinstance(kwargs.get("other"), Tensor):
        dtype = kwargs["other"].dtype
    if len(args) > 2 and args[-1] is True and isinstance(args[-2], bool):
        return DECLINE  # copy=True by place
    dtype = dtype or x.dtype
    if layout is not None and not x.is_contiguous(memory_format=layout):
        return x.to(dtype=dtype, memory_format=layout)
    return x if dtype == x.dtype else x.to(dtype)


@function(Tensor.cpu, Tensor.cuda)
def moved(ledger: Ledger, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    if ledger.concrete or id(x) not in ledger.known:
        return DECLINE
    return x


@function(_getter("data"))
def data(ledger: Ledger, x: Tensor) -> Any:
    """The tensor itself: there is no history it could be freed of."""
    return DECLINE if ledger.concrete else x


@function(_attribute("data").__set__)
def set_data(ledger: Ledger, x: Tensor, value: Tensor) -> Any:
    """A carrier takes the place of what stood there, in the ledger alone."""
    if ledger.concrete or torch.nn.parameter.is_lazy(x):
        return DECLINE
    if id(x) not in ledger.known:
        ledger.overwritten.add(id(x))
    return None


@function(Tensor.tolist)
def tolist(ledger: Ledger, x: Tensor) -> Any:
    return DECLINE if ledger.concrete else _values(ledger, x, "tolist").tolist()


@function(Tensor.numpy)
def numpy(ledger: Ledger, x: Tensor, **kwargs: Any) -> Any:
    return DECLINE if ledger.concrete else _values(ledger, x, "numpy").numpy(**kwargs)


@function(Tensor.__array__)
def as_array(ledger: Ledger, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    return DECLINE if ledger.concrete else _values(ledger, x, "numpy").numpy()


def _values(ledger: Ledger, x: Tensor, asked: str) -> Tensor:
    if not x.is_meta and id(x) not in ledger.overwritten:
        return x.detach()
    found = ledger.value(x)
    if found is None:
        raise NeedsValuesError(asked)
    return found


QUESTIONS = frozenset(
    asked
    for asked, rule in FUNCTIONS.items()
    if rule in (device, is_meta, is_cuda, is_cpu, to, moved, data, tolist, numpy, as_array)
)
"""What is answered of a constant as of any other carrier."""
