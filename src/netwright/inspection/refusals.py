"""Why a network cannot be inspected, in words: which layer refused what, and what it expects."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.core.languages import Phrase
from netwright.inspection.anatomy import Anatomy
from netwright.inspection.rules.registry import tensors_in


def opened(model: Any, notes: list[str]) -> nn.Module:
    """The network itself, out of what wraps it. Raises `SettingError` for what is none."""
    if isinstance(model, type):
        raise SettingError(
            "{name} is a class, not a network.",
            hint="Make one of it: {name}(...).",
            name=model.__name__,
        )
    if not isinstance(model, nn.Module):
        raise SettingError(
            "Only a torch.nn.Module can be inspected, not {kind}.", kind=type(model).__name__
        )
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, wrappers) or type(model).__name__ == "OptimizedModule":
        kind = type(model).__name__
        model = model.module if isinstance(model, wrappers) else model._orig_mod
        notes.append(f"The network inside of {kind} was inspected.")
    assert isinstance(model, nn.Module)
    return model


def check_call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Whether `forward` takes these arguments at all."""
    if not any(True for _ in tensors_in((args, kwargs))):
        raise SettingError(
            "There is no tensor among the inputs of {kind}.",
            hint="Its forward takes {signature}: give that, or a shape such as (3, 224, 224).",
            kind=type(model).__name__,
            signature=_signature(model),
        )
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        needed = [
            each.name
            for each in signature.parameters.values()
            if each.default is each.empty
            and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        raise SettingError(
            "{kind}.forward cannot be called so: {reason}.",
            hint="It takes {signature}; it needs {needed}.",
            kind=type(model).__name__,
            reason=str(error),
            signature=str(signature),
            needed=", ".join(needed) or "-",
        ) from error


def _signature(model: nn.Module) -> str:
    try:
        return str(inspect.signature(model.forward))
    except (TypeError, ValueError):  # a built-in that does not tell
        return "(...)"


def lazy_layers(parts: Anatomy) -> bool:
    """Whether a parameter or buffer has no shape before the first call."""
    kinds = {type(each): each for each, _ in (*parts.parameters, *parts.buffers)}
    return any(map(nn.parameter.is_lazy, kinds.values()))


def copied(model: nn.Module, parts: Anatomy) -> nn.Module:
    """A deep copy whose lazy parameters and buffers will be made on the meta device."""
    memo: dict[int, Any] = {}
    for each, _ in (*parts.parameters, *parts.buffers):
        if nn.parameter.is_lazy(each):
            kind: Any = type(each)
            memo[id(each)] = kind(each.requires_grad, torch.device("meta"), each.dtype)
    return copy.deepcopy(model, memo)


def without_values(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], why: str
) -> Any:
    """A copy of the network and its inputs with values, for a pass that computes."""
    tensors = (*tensors_in((args, kwargs)), *model.parameters(), *model.buffers())
    if any(each.is_quantized for each in tensors):
        raise SettingError(
            "{kind} is quantised: its layers have no form without values.",
            hint="Inspect the network before it is converted.",
            kind=type(model).__name__,
        )
    if any(each.is_meta or type(each).__name__ == "FakeTensor" for each in tensors):
        raise SettingError(
            "{kind} asks for the values of a tensor ({why}), and meta tensors have none.",
            hint="Give real weights and real inputs.",
            kind=type(model).__name__,
            why=why,
        )
    return copy.deepcopy(model), args, kwargs


_OF_INPUT = (RuntimeError, ValueError, IndexError, AssertionError)
"""What is raised of an input that does not fit: by torch, by a check that a forward makes."""

_OF_CODE = (NotImplementedError, RecursionError, UnicodeError)
"""Of these what has to do with the code, not with its input."""


def refuse(model: nn.Module, failure: Any, error: BaseException) -> SettingError:
    """The error for an exception that came out of the forward pass."""
    if isinstance(error, SettingError):
        return error
    if failure is None or failure.error is not error:
        path, module, given = "", model, "-"
    else:
        path, module = failure.path, failure.module
        with torch._C.DisableTorchFunction():
            tensors = tensors_in((failure.args, failure.kwargs))
            given = ", ".join(str(tuple(each.shape)) for each in tensors) or "-"
    kind, where, reason = type(module).__name__, path or "(model)", _first_line(error)
    if not isinstance(error, _OF_INPUT) or isinstance(error, _OF_CODE):
        return SettingError(
            "{layer} ({kind}) raised {error} in its forward: {reason}"
            if reason
            else "{layer} ({kind}) raised {error} in its forward.",
            layer=where,
            kind=kind,
            error=type(error).__name__,
            reason=reason,
        )
    reason = reason or type(error).__name__
    if failure is None or failure.error is not error:
        return SettingError("{kind} cannot take its input: {reason}", kind=kind, reason=reason)
    expected = expectation(module)
    if expected is None:
        return SettingError(
            "{layer} ({kind}) cannot take its input {given}: {reason}",
            layer=where,
            kind=kind,
            given=given,
            reason=reason,
        )
    return SettingError(
        "{layer} ({kind}) cannot take its input {given}: {reason}",
        hint="It expects {expected}.",
        layer=where,
        kind=kind,
        given=given,
        reason=reason,
        expected=expected,
    )


def expectation(module: nn.Module) -> Phrase | str | None:
    """What a layer of torch takes."""
    kind = type(module).__name__
    if isinstance(module, nn.modules.conv._ConvNd):
        axes = ("L",), ("H", "W"), ("D", "H", "W")
        names = ", ".join(axes[len(module.kernel_size) - 1])
        return f"(N, {module.in_channels}, {names})"
    if isinstance(module, nn.Linear):
        return f"(..., {module.in_features})"
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return Phrase("{channels} channels", channels=module.num_features)
    if isinstance(module, nn.GroupNorm):
        return Phrase("{channels} channels", channels=module.num_channels)
    if isinstance(module, nn.LayerNorm):
        return f"(..., {', '.join(map(str, module.normalized_shape))})"
    if isinstance(module, nn.RNNBase):
        return Phrase("{features} features", features=module.input_size)
    if isinstance(module, nn.MultiheadAttention):
        return Phrase("{features} features", features=module.embed_dim)
    del kind
    return None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""
