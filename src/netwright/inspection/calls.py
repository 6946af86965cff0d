"""Who ran when: each call of each module, with the operations that ran within it.

A module has a place for another way to be called (`_compiled_call_impl`, which `Module.compile`
fills). For the pass each module of the network has our ear there: no hook is registered, other
networks and other threads are not touched, and modules that are made on the way belong to their
caller.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
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

    __slots__ = ("begin", "call", "depth", "end", "fields", "inputs", "kind", "last",
                 "outputs", "path", "rate", "sight", "training")  # fmt: skip

    def __init__(
        self,
        path: str,
        kind: str,
        rate: float | None,
        training: bool,
        depth: int,
        call: int,
        begin: int,
        inputs: Any,
    ) -> None:
        self.path = path
        self.kind = kind
        self.rate = rate
        self.training = training
        self.depth = depth
        self.call = call
        self.begin = begin
        self.inputs: tuple[Shape, ...] = inputs

    def ended(
        self,
        end: int,
        last: int,
        outputs: tuple[Shape, ...] = (),
        fields: tuple[AxisField, ...] = (),
        sight: TensorField | None = None,
    ) -> None:
        """`last`: number of the call after the last that began within this one; `sight`: what the
        elements of its first result see, of which `fields` are the facts."""
        self.end = end
        self.last = last
        self.outputs = outputs
        self.fields = fields
        self.sight = sight


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

    def _hearing(self) -> Callable[[list[Any], Any, Any], Any]:
        """What is called in place of a module: given its part (its path, the module, its kind, its
        short way, its attributes, its rate, how often it was called) and its arguments."""
        ledger, calls = self.ledger, self.calls
        operations, carriers = ledger.operations, ledger.known

        def hear(part: list[Any], args: Any, kwargs: Any) -> Any:
            path, module, kind, short, own, rate, times = part
            if _thread() != self._thread:
                return _plain_call(module)(*args, **kwargs)
            lone = len(args) == 1 and not kwargs
            known = carriers.get(id(args[0])) if lone else None
            shapes = (known.shape,) if known is not None else _shapes(args, kwargs)
            training = module.training
            entry = Call(path, kind, rate, training, self._depth, times, len(operations), shapes)
            part[-1] = times + 1
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
                entry.ended(len(operations), len(calls))
                raise
            finally:
                self._depth -= 1
                ledger.layer = before
            end, last = len(operations), len(calls)
            known = carriers.get(id(output))
            if known is not None:
                sight = known.field
                fields = ledger.blank if sight is None else sight.axes()
                entry.ended(end, last, (known.shape,), fields, sight)
            elif isinstance(output, Tensor):
                entry.ended(end, last, (_shape(output),), ledger.axes_of(output))
            else:
                entry.ended(end, last)
                results = list(tensors_in(opened(output)))
                first = results[0] if results else None
                fields = () if first is None else ledger.axes_of(first)
                shapes = tuple(_shape(each) for each in results)
                entry.ended(end, last, shapes, fields, ledger.field(first))
            return output

        return hear

    @contextlib.contextmanager
    def on(self, modules: list[tuple[nn.Module, str]]) -> Iterator[None]:
        """Listen to these modules (by their path) in the block."""
        hear = self._hearing()
        taken: list[tuple[dict[str, Any], Any]] = []
        kinds: dict[type[nn.Module], tuple[str, Any, bool]] = {}
        try:
            for module, path in modules:
                own = module.__dict__
                if _PLACE in own:
                    taken.append((own, own[_PLACE]))
                found = kinds.get(type(module))
                if found is None:
                    word = type(module).__name__
                    found = kinds[type(module)] = (word, short_way(module), "Dropout" in word)
                kind, short, drops = found
                rate = _rate(module) if drops else None
                own[_PLACE] = _ear(hear, [path, module, kind, short, own, rate, 0])
            yield
        finally:
            for module, _ in modules:
                module.__dict__.pop(_PLACE, None)
            for own, value in taken:
                own[_PLACE] = value


def _ear(hear: Callable[..., Any], part: list[Any]) -> Callable[..., Any]:
    """As few names of its own as can be: each is an object, and each module has an ear."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return hear(part, args, kwargs)

    return call


def _rate(module: Any) -> float | None:
    """What a layer for dropout leaves out, if it says so."""
    rate = getattr(module, "p", None)
    return float(rate) if isinstance(rate, int | float) else None


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
