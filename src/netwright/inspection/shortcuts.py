"""Layers whose forward is one call of one function: the pass asks that function's rule at once.

What lies between the call of an `nn.Conv2d` and its convolution (looking for hooks, a forward, a
function that hands itself to the upper net) takes longer than the rule. A layer goes the short way
only where the long one would end at the same rule: exactly torch's own class with torch's own
forward, no hooks, no other net above ours. A rule that declines sends it the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as _module

from netwright.inspection.ledger import Ledger
from netwright.inspection.rules import DECLINE, FUNCTIONS

Short = Callable[[Ledger, dict[str, Any], Any], Any]
"""(ledger, the layer's attributes, its only argument) -> result or DECLINE."""

_grad = torch.is_grad_enabled
_level = torch._C._functorch.maybe_current_level
_nets = torch._C._len_torch_function_stack
_heard = torch._C._is_torch_function_mode_enabled
_recorded = torch._C._get_tracing_state
_pop = torch._C._pop_torch_function_stack
_push = torch._C._push_on_torch_function_stack
_HOOKS_OF_ALL: tuple[Any, ...] = (
    _module._global_forward_hooks,
    _module._global_forward_pre_hooks,
    _module._global_backward_hooks,
    _module._global_backward_pre_hooks,
)


def short_way(module: nn.Module) -> Short | None:
    """The short way of a layer, if its kind has one."""
    found = _SHORT.get(type(module))
    if found is None or type(module).forward is not found[0]:
        return None
    return found[1]


def answer(short: Short, ledger: Ledger, own: dict[str, Any], args: Any) -> Any:
    """What the layer with attributes `own` gives for its only argument, or DECLINE."""
    if (
        "forward" in own
        or own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or any(_HOOKS_OF_ALL)
        or ledger.concrete
        or ledger.constants
        or _nets() != 1
        or not _heard()
        or _grad()
        or _level() is not None
        or _recorded() is not None
    ):
        return DECLINE
    net = _pop()
    try:
        return short(ledger, own, args[0])
    except (TypeError, AttributeError, KeyError):
        return DECLINE  # not as the kind makes it, or called in a way the rule does not know
    finally:
        _push(net)


def _convolution(count: int) -> Short:
    rule = FUNCTIONS[getattr(torch, f"conv{count}d")]

    def run(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
        if own["padding_mode"] != "zeros" or "_conv_forward" in own:
            return DECLINE
        held = own["_parameters"]
        return rule(
            ledger, x, held["weight"], held["bias"], own["stride"], own["padding"],
            own["dilation"], own["groups"],
        )  # fmt: skip

    return run


def _batch_norm(*ranks: int) -> Short:
    rule = FUNCTIONS[F.batch_norm]

    def run(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
        if own["training"] or x.ndim not in ranks or "_check_input_dim" in own:
            return DECLINE
        weights, held = own["_parameters"], own["_buffers"]
        mean, variance = held["running_mean"], held["running_var"]
        return rule(
            ledger, x, mean, variance, weights["weight"], weights["bias"],
            mean is None and variance is None,
        )  # fmt: skip

    return run


def _activation(name: str) -> Short:
    rule = FUNCTIONS[getattr(F, name)]

    def run(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
        return rule(ledger, x, inplace=own["inplace"])

    return run


def _hardtanh(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
    rule = FUNCTIONS[F.hardtanh]
    low, high = own["min_val"], own["max_val"]
    if not low < high:
        return DECLINE
    return rule(ledger, x, min_val=low, max_val=high, inplace=own["inplace"])


def _linear(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
    held = own["_parameters"]
    return FUNCTIONS[F.linear](ledger, x, held["weight"], held["bias"])


def _layer_norm(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
    held = own["_parameters"]
    rule = FUNCTIONS[F.layer_norm]
    return rule(ledger, x, own["normalized_shape"], held["weight"], held["bias"])


def _dropout(ledger: Ledger, own: dict[str, Any], x: Any) -> Any:
    return FUNCTIONS[F.dropout](ledger, x, own["p"], own["training"], own["inplace"])


def _identity(ledger: Ledger, own: dict[str, Any], x: Tensor) -> Tensor:
    return x


_WAYS: dict[type[nn.Module], Short] = {
    nn.Conv1d: _convolution(1),
    nn.Conv2d: _convolution(2),
    nn.Conv3d: _convolution(3),
    nn.BatchNorm1d: _batch_norm(2, 3),
    nn.BatchNorm2d: _batch_norm(4),
    nn.BatchNorm3d: _batch_norm(5),
    nn.ReLU: _activation("relu"),
    nn.ReLU6: _hardtanh,
    nn.Hardtanh: _hardtanh,
    nn.SiLU: _activation("silu"),
    nn.Hardswish: _activation("hardswish"),
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    nn.Dropout: _dropout,
    nn.Identity: _identity,
}
_SHORT: dict[type[nn.Module], tuple[Any, Short]] = {
    kind: (kind.forward, way) for kind, way in _WAYS.items()
}
