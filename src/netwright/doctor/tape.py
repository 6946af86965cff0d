"""What a loop computes from its model to its loss, written down so that it can be computed again.

Between the first call of the model and the backward pass a loop does as it likes: it calls the
model once or several times, sums losses, weighs them, adds penalties. The tape notes these calls,
a module as one call, a torch function as one call; played again, perhaps with other weights, it
gives the loss that the loop would have got.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

LONGEST = 2_000
"""Calls after which a tape is given up: what is that long is no loss."""


@dataclass(eq=False)
class Call:
    """One call: `run` is a module or a torch function, `result` what it gave at the time."""

    run: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def name(self) -> str:
        """Torch's word for a function, the class of a module."""
        if isinstance(self.run, nn.Module):
            return type(self.run).__name__
        return str(getattr(self.run, "__name__", self.run))

    @property
    def of_module(self) -> bool:
        return isinstance(self.run, nn.Module)


MOST_CUTS = 200


@dataclass(frozen=True, eq=False)
class Cut:
    """A call behind which there is no gradient any more, and the line it stands in. `graded`:
    whether gradients were being noted at all."""

    call: Call
    line: str
    graded: bool


class Tape(TorchFunctionMode):
    """Notes every torch function called while it is on top of torch's stack of modes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.full = False
        self.failed: tuple[Call, BaseException] | None = None
        """The last call that raised, and what."""
        self.cuts: list[Cut] = []
        """Calls that took a tensor with a gradient and gave something without, in order."""
        self._listening = False

    def note(self, run: Any, args: Any, kwargs: Any, result: Any) -> None:
        if len(self.calls) >= LONGEST:
            self.full = True
            return
        self.calls.append(Call(run, tuple(args), dict(kwargs or {}), result))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        try:
            result = func(*args, **(kwargs or {}))
        except Exception as error:
            if self._listening:
                self.failed = (Call(func, tuple(args), dict(kwargs or {}), None), error)
            raise
        if self._listening:
            try:
                self._hear(func, args, kwargs, result)
            except Exception:  # of ours, in the middle of somebody's pass: no more is noted
                self.full = True
        return result

    def _hear(self, func: Any, args: Any, kwargs: dict[str, Any] | None, result: Any) -> None:
        if len(self.cuts) < MOST_CUTS and _cuts(func, args, result):
            call = Call(func, tuple(args), dict(kwargs or {}), result)
            self.cuts.append(Cut(call, _line(), torch.is_grad_enabled()))
        if not self.full and _makes_tensors(func, result):
            self.note(func, args, kwargs, result)

    def on(self) -> None:
        """Listen from here on."""
        self._listening = True
        torch._C._push_on_torch_function_stack(self)

    def off(self) -> bool:
        """Listen no more; modes that were entered since then stay as they are. Says whether it
        was on the stack.

        While torch handles a call for this mode it is not on the stack, and torch puts it back
        afterwards (`loss.backward()` is such a call): call it again then. It hears nothing before.
        Other tapes that listen no more, those of other models in the loop, are taken off too.
        """
        self._listening = False
        kept: list[Any] = []
        there = False
        while torch._C._len_torch_function_stack():
            mode = torch._C._pop_torch_function_stack()
            there = there or mode is self
            if not isinstance(mode, Tape) or mode._listening:
                kept.append(mode)
        while kept:
            torch._C._push_on_torch_function_stack(kept.pop())
        return there


@dataclass(frozen=True, eq=False)
class Objective:
    """The way from a model's inputs to one loss, for the batch it was noted on.

    `calls` are those that the loss depends on, in their order; `loss` is the value it had.
    `inside` are the losses of torch that were heard within a module, of a step looked at: in some
    loops the model is given the labels and computes its own loss.
    """

    calls: tuple[Call, ...]
    loss: Tensor
    inside: tuple[Call, ...] = ()

    def again(self, swaps: Mapping[int, Any] | None = None) -> Tensor:
        """The loss computed anew, with the weights that the modules have now.

        `swaps` gives what stands in place of a module or a tensor, by the `id` of that: the
        modules and parameters of a copy, another batch. Random states, statistics of norms and
        modes are the caller's affair.
        """
        given = frozenset(swaps or ())
        known: dict[int, Any] = dict(swaps or {})

        def now(value: Any) -> Any:
            return known.get(id(value), value) if isinstance(value, Tensor) else value

        for call in self.calls:
            args, kwargs = tree_map(now, (call.args, call.kwargs))
            if _in_place(call.name) and args and args[0] is call.args[0]:
                args = (args[0].detach().clone(), *args[1:])  # a tensor of the loop's own
            run = known.get(id(call.run), call.run) if call.of_module else call.run
            result = run(*args, **kwargs)
            for old, new in zip(_parts(call.result), _parts(result), strict=True):
                # A batch that a loop cuts out after the forward pass is on the tape as well.
                if isinstance(old, Tensor) and id(old) not in given:
                    known[id(old)] = new
        found = known.get(id(self.loss))
        if not isinstance(found, Tensor):
            raise LookupError("the loss is not among what was noted")
        return found

    @property
    def modules(self) -> tuple[Call, ...]:
        """The calls of modules."""
        return tuple(call for call in self.calls if call.of_module)

    @property
    def functions(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if not call.of_module)


def objective(tape: Tape, loss: Tensor, inside: Sequence[Call] = ()) -> Objective | None:
    """The calls that led to `loss`; None where the tape does not reach it."""
    if tape.full:
        return None
    wanted = {id(loss)}
    chosen: list[Call] = []
    for call in reversed(tape.calls):
        made = {id(each) for each in _parts(call.result) if isinstance(each, Tensor)}
        # A tensor that is written in place was made by several calls: all are needed.
        if made.isdisjoint(wanted):
            continue
        chosen.append(call)
        wanted.update(
            id(each) for each in _parts((call.args, call.kwargs)) if isinstance(each, Tensor)
        )
    chosen.reverse()
    if not any(call.of_module for call in chosen):
        return None
    return Objective(tuple(chosen), loss, tuple(inside))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value]
    if hasattr(value, "to_tuple") and not isinstance(value, tuple | list | dict):
        value = value.to_tuple()
    return tree_flatten(value)[0]


def _in_place(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or (
        name.startswith("__i") and name not in ("__index__", "__invert__", "__int__")
    )


def _makes_tensors(func: Callable[..., Any], result: Any) -> bool:
    """Whether a call belongs on a tape; what only asks for a number or a shape does not."""
    if getattr(func, "__name__", "") in ("backward", "__get__", "__set__"):
        return isinstance(result, Tensor)
    return isinstance(result, Tensor) or (
        isinstance(result, tuple | list) and any(isinstance(each, Tensor) for each in result)
    )


_TO_NUMBERS = {"item", "tolist", "numpy", "__array__", "__float__", "__int__", "__bool__"}


def _cuts(func: Callable[..., Any], args: Any, result: Any) -> bool:
    """Whether a gradient goes in and none comes out."""
    if not any(isinstance(each, Tensor) and each.requires_grad for each in args[:4]):
        return False
    if isinstance(result, Tensor):
        return not result.requires_grad
    return getattr(func, "__name__", "") in _TO_NUMBERS


def _line() -> str:
    """The nearest line below us that is neither torch's nor ours; "" where we replay a loop's."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code is not Objective.again.__code__:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("torch.", "netwright.")) and name != "torch":
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""
