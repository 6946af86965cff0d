"""Who ran when: each call of each module, with the operations that ran within it.

A module has a place for another way to be called (`_compiled_call_impl`, which `Module.compile`
fills). For the pass each module of the network has our ear there: no hook is registered, other
networks and other threads are not touched, and modules that are made on the way belong to their
caller.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, tensors_in
from netwright.inspection.shortcuts import answer, short_way
from netwright.records.inspection import AxisField, Shape

_PLACE = "_compiled_call_impl"
_thread = threading.get_ident


class Call:
    """One call of one module. Shapes are of all tensors in its arguments and results."""

    __slots__ = ("begin", "call", "depth", "end", "fields", "inputs", "last", "module",
                 "outputs", "path", "sight", "training")  # fmt: skip

    def __init__(
        self, path: str, module: nn.Module, depth: int, call: int, begin: int, inputs: Any
    ) -> None:
        self.path = path
        self.module = module
        self.depth = depth
        self.call = call
        self.begin = begin
        self.inputs: tuple[Shape, ...] = inputs
        self.end = begin
        self.last = 0
        """Number of the call after the last that began within this one."""
        self.outputs: tuple[Shape, ...] = ()
        self.fields: tuple[AxisField, ...] = ()
        self.sight: TensorField | None = None
        """What the elements of its first result see, of which `fields` are the facts."""
        self.training = module.training


class Failure:
    """The innermost module that an exception came out of, and what it was given."""

    def __init__(self, error: BaseException, path: str, module: nn.Module, args: Any, kwargs: Any):
        self.error = error
        self.path = path
        self.module = module
        self.args = args
        self.kwargs = kwargs


class Listener:
    """Hears each module begin and end; `calls` are in the order they began."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.calls: list[Call] = []
        self.failure: Failure | None = None
        self._depth = 0
        self._thread = _thread()

    def ear(self, path: str, module: nn.Module) -> Any:
        """What is called in place of `module`."""
        short = short_way(module)
        own = module.__dict__
        ledger, calls = self.ledger, self.calls
        operations, carriers = ledger.operations, ledger.known
        times = 0

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal times
            if _thread() != self._thread:
                return _plain_call(module)(*args, **kwargs)
            lone = len(args) == 1 and not kwargs
            known = carriers.get(id(args[0])) if lone else None
            shapes = (known.shape,) if known is not None else _shapes(args, kwargs)
            entry = Call(path, module, self._depth, times, len(operations), shapes)
            times += 1
            calls.append(entry)
            before = ledger.layer
            ledger.layer = path
            self._depth += 1
            try:
                output = DECLINE
                if lone and short is not None:
                    output = answer(short, ledger, own, args)
                if output is DECLINE:
                    output = _plain_call(module)(*args, **kwargs)
            except BaseException as error:
                if self.failure is None or self.failure.error is not error:
                    self.failure = Failure(error, path, module, args, kwargs)
                raise
            finally:
                self._depth -= 1
                ledger.layer = before
                entry.end = len(operations)
                entry.last = len(calls)
            known = carriers.get(id(output))
            if known is not None:
                entry.outputs = (known.shape,)
                entry.sight = sight = known.field
                entry.fields = ledger.blank if sight is None else sight.axes()
            elif isinstance(output, Tensor):
                entry.outputs = (_shape(output),)
                entry.fields = ledger.axes_of(output)
            else:
                results = list(tensors_in(opened(output)))
                entry.outputs = tuple(_shape(each) for each in results)
                if results:
                    entry.fields = ledger.axes_of(results[0])
                    entry.sight = ledger.field(results[0])
            return output

        return call

    @contextlib.contextmanager
    def on(self, modules: list[tuple[nn.Module, str]]) -> Iterator[None]:
        """Listen to these modules (by their path) in the block."""
        before: list[tuple[dict[str, Any], Any]] = []
        try:
            for module, path in modules:
                own = module.__dict__
                before.append((own, own.get(_PLACE, _ABSENT)))
                own[_PLACE] = self.ear(path, module)
            yield
        finally:
            for own, value in before:
                if value is _ABSENT:
                    own.pop(_PLACE, None)
                else:
                    own[_PLACE] = value


_ABSENT: Any = object()


def _plain_call(module: nn.Module) -> Any:
    if type(module).__name__ == "OptimizedModule":
        return module._orig_mod  # what torch.compile wraps: the network as it was written
    return module._call_impl


def _shape(tensor: Tensor) -> Shape:
    with torch._C.DisableTorchFunction():
        return tuple(tensor.shape)


def _shapes(args: Any, kwargs: Any) -> tuple[Shape, ...]:
    return tuple(_shape(each) for each in tensors_in((opened(args), opened(kwargs))))


def opened(value: Any) -> Any:
    """Dicts, dataclasses and objects of results as plain containers of what they hold."""
    if isinstance(value, Tensor | list | tuple | dict) or value is None:
        return value
    if hasattr(value, "__dataclass_fields__"):
        return [getattr(value, name) for name in value.__dataclass_fields__]
    if hasattr(value, "values") and callable(value.values) and not isinstance(value, type):
        with contextlib.suppress(TypeError):
            return list(value.values())
    return value
