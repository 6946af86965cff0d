"""The outline of a network: its layers in the order they run, without computing anything.

The forward pass runs on torch's meta device, where tensors have a shape and no values: a
network of a billion weights is outlined in a moment and takes no memory.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from netwright.core.errors import SettingError
from netwright.records.layers import LayerRow

# What a forward pass raises when it does not fit its input, or cannot run without values.
_MISFITS = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError)


def outline(model: nn.Module, input_size: tuple[int, int, int]) -> list[LayerRow]:
    """One row for each layer of `model` in the order they run, for one image of (C, H, W).

    A layer is a module without parts, or one that computes or owns weights itself; the rows'
    parameters and multiply-accumulates (of convolutions, linear layers and other matrix
    products) add up to the model's. A weight used twice counts where it is used first. A
    layer that runs twice has two rows, `nn.Identity` has none. The model, its mode and its
    hooks are left as they were.

    A model that cannot run on the meta device is copied and run on zeros. Raises `SettingError`
    for one that cannot take the input at all.

    >>> for row in outline(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), (3, 2, 2)):
    ...     print(row.name, row.kind, row.output, row.params, row.macs)
    0 Flatten (12,) 0 0
    1 Linear (5,) 65 60
    """
    try:
        calls = _run_on_meta(model, input_size)
    except _MISFITS:
        try:
            calls = _run_on_zeros(model, input_size)
        except _MISFITS as error:
            raise SettingError(
                "The model cannot take images of {channels}x{height}x{width}: {reason}",
                channels=input_size[0],
                height=input_size[1],
                width=input_size[2],
                reason=str(error) or type(error).__name__,
            ) from error
    return _rows(model, calls)


@dataclass
class _Call:
    """One run of one module: what it put out, and what it computed outside of its parts."""

    name: str
    kind: str
    leaf: bool
    output: tuple[int, ...]
    macs: int


@dataclass
class _Listener:
    """Hears every module begin and end, and shares the counted work out among them."""

    counter: FlopCounterMode
    calls: list[_Call] = field(default_factory=list)
    _begun: list[int] = field(default_factory=list)
    _within: list[int] = field(default_factory=lambda: [0])

    def begin(self, module: nn.Module, inputs: Any) -> None:
        self._begun.append(self.counter.get_total_flops())
        self._within.append(0)

    def end(self, name: str, module: nn.Module, output: Any) -> None:
        spent = self.counter.get_total_flops() - self._begun.pop()
        own = spent - self._within.pop()
        self._within[-1] += spent
        self.calls.append(
            _Call(
                name=name,
                kind=type(module).__name__,
                leaf=next(module.children(), None) is None,
                output=_shape(output),
                macs=own // 2,  # torch counts a multiply and an add as two
            )
        )


def _run_on_meta(model: nn.Module, input_size: tuple[int, int, int]) -> list[_Call]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    empty = {name: torch.empty_like(each, device="meta") for name, each in tensors}
    image = torch.empty((1, *input_size), device="meta")
    return _listen(model, lambda: functional_call(model, empty, (image,)))


def _run_on_zeros(model: nn.Module, input_size: tuple[int, int, int]) -> list[_Call]:
    twin = copy.deepcopy(model).to("cpu")
    return _listen(twin, lambda: twin(torch.zeros(1, *input_size)))


def _listen(model: nn.Module, run: Any) -> list[_Call]:
    listener = _Listener(FlopCounterMode(display=False))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_evaluating(model))
        for name, module in model.named_modules():
            stack.enter_context(module.register_forward_pre_hook(listener.begin))
            hook = module.register_forward_hook(_end(listener, name))
            stack.enter_context(hook)
        stack.enter_context(torch.no_grad())
        with listener.counter:
            run()
    return listener.calls


def _end(listener: _Listener, name: str) -> Any:
    def hear(module: nn.Module, inputs: Any, output: Any) -> None:
        listener.end(name, module, output)

    return hear


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (a norm over one image has no spread in training mode), then back."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _rows(model: nn.Module, calls: list[_Call]) -> list[LayerRow]:
    """The calls worth a row, each parameter at the first call of its nearest module that ran."""
    ran = {call.name for call in calls}
    owned: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        owner = name.rpartition(".")[0]
        while owner and owner not in ran:
            owner = owner.rpartition(".")[0]
        owned[owner] = owned.get(owner, 0) + parameter.numel()
    rows = []
    for call in calls:
        params = owned.pop(call.name, 0)
        if (call.leaf and call.kind != "Identity") or params or call.macs:
            rows.append(
                LayerRow(
                    name=call.name or "(model)",
                    kind=call.kind,
                    output=call.output,
                    params=params,
                    macs=call.macs,
                )
            )
    return rows


def _shape(output: Any) -> tuple[int, ...]:
    """The shape of the first tensor in `output`, without the batch."""
    if isinstance(output, Tensor):
        return tuple(output.shape[1:])
    parts = output.values() if isinstance(output, dict) else output
    if isinstance(parts, list | tuple) or isinstance(output, dict):
        for part in parts:
            if isinstance(part, Tensor):
                return tuple(part.shape[1:])
    return ()
