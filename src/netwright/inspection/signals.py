"""The tensors that a network's weights, norms and activations put out, caught on their way.

They are caught where torch's functions are called, so it makes no difference whether a network
uses modules or functions. A module whose weights are used out of sight (recurrent layers, fused
attention) is caught as one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netwright.inspection.slopes import ACTIVATIONS, Flatness, flatness
from netwright.records.initial_state import Values

BARS = 48

_OF_POSITIONS = {f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)}
_CONTRACTIONS = _OF_POSITIONS | {
    "linear", "bilinear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm",
    "einsum", "tensordot",
}  # fmt: skip
_NORMS = {
    "batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm",
}  # fmt: skip

Role = Literal["weights", "norm", "activation"]


@dataclass(kw_only=True, eq=False)
class Signal:
    """One tensor that was put out. `gradient` is filled in by the backward pass."""

    layer: str
    operation: str
    role: Role
    values: Values
    shape: tuple[int, ...]
    weights: tuple[str, ...] = ()
    flat: Flatness | None = None
    gradient: float | None = None


@contextlib.contextmanager
def caught(model: nn.Module) -> Iterator[list[Signal]]:
    """What `model` puts out within the block, in the order it does. Hooks are gone after it."""
    catcher = _Catcher(model)
    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            before = module.register_forward_pre_hook(catcher.entering(name))
            stack.callback(before.remove)
            after = module.register_forward_hook(catcher.leaving(name))
            stack.callback(after.remove)
        stack.enter_context(catcher)
        yield catcher.signals


def values_of(tensor: Tensor) -> Values:
    """How the numbers of `tensor` lie. The bars are of at most some 65,000 of them, taken evenly.

    >>> lie = values_of(torch.tensor([0.0, 1.0, 3.0]))
    >>> round(lie.mean, 3), lie.std.__round__(3), round(lie.zeros, 3), lie.low, lie.high
    (1.333, 1.247, 0.333, 1.0, 3.0)
    """
    flat = tensor.detach().reshape(-1)
    mean = flat.mean(dtype=torch.float64)
    spread = norm_of(flat - mean.to(flat.dtype)) / max(1, flat.numel()) ** 0.5
    sample = flat[:: flat.numel() // 65_536 + 1].double().cpu().numpy()
    sample = sample[np.isfinite(sample) & (sample != 0)]
    low, high = (float(sample.min()), float(sample.max())) if sample.size else (0.0, 0.0)
    if high - low > 1e-12 * max(abs(low), abs(high)):
        heights, _ = np.histogram((sample - low) / (high - low), bins=BARS, range=(0.0, 1.0))
    else:
        heights = np.array([sample.size])
    return Values(
        mean=float(mean),
        std=spread,
        zeros=float((flat == 0).float().mean()) if flat.numel() else 0.0,
        low=low,
        high=high,
        bars=tuple((heights / max(1, sample.size)).tolist()),
    )


def norm_of(tensor: Tensor) -> float:
    """The Euclidean norm, also of numbers whose squares are 0 or infinite in their own type.

    >>> f"{norm_of(torch.full((4,), 1e-30)):.3g}"
    '2e-30'
    """
    rows = tensor.detach().reshape(len(tensor) if tensor.ndim else 1, -1)
    found = float(torch.linalg.vector_norm(torch.linalg.vector_norm(rows, dim=1).double()))
    if 1e-10 < found < 1e10 and rows.dtype in (torch.float32, torch.float64):
        return found
    # Some twenty times slower, and seldom needed.
    return float(torch.linalg.vector_norm(rows, dtype=torch.float64))


@dataclass
class _Call:
    """A module that is running, and whether its weights were seen at work."""

    layer: str
    seen: bool = False


@dataclass(eq=False)
class _Catcher(TorchFunctionMode):
    model: nn.Module
    signals: list[Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._running: list[_Call] = []
        self._weights = {
            each.untyped_storage().data_ptr(): name
            for name, each in self.model.named_parameters()
            if each.ndim > 1
        }
        self._units_last = False

    def entering(self, name: str) -> Callable[..., None]:
        def run(module: nn.Module, given: Any) -> None:
            self._running.append(_Call(name))

        return run

    def leaving(self, name: str) -> Callable[..., None]:
        def run(module: nn.Module, given: Any, output: Any) -> None:
            call = self._running.pop()
            own = [n for n, each in module.named_parameters(recurse=False) if each.ndim > 1]
            tensor = _first(output)
            if own and not call.seen and tensor is not None:
                self._units_last = True
                weights = tuple(f"{name}.{each}" if name else each for each in own)
                self._keep("weights", type(module).__name__.lower(), tensor, weights=weights)
                self.signals[-1].layer = name

        return run

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        name = getattr(func, "__name__", "")
        bare = name if name.startswith("__") else name.removesuffix("_")
        if bare in ACTIVATIONS:
            return self._activation(bare, func, args, given)
        output = func(*args, **given)
        tensor = _first(output)
        if tensor is None or not tensor.is_floating_point():
            return output
        if name in _CONTRACTIONS or name == "embedding":
            weights = self._used((args, tuple(given.values())))
            if weights or name in _OF_POSITIONS:  # products of two activations are no layer
                self._units_last = name not in _OF_POSITIONS
                self._mark()
                self._keep("weights", name.strip("_"), tensor, weights=weights)
        elif name in _NORMS:
            self._mark()
            norm = [each for each in (given.get("weight"), *args[1:]) if _is_parameter(each)]
            weights = tuple(n for n, p in self.model.named_parameters() for w in norm if p is w)
            self._keep("norm", name, tensor, weights=weights[:1])
        return output

    def _activation(self, name: str, func: Any, args: Any, given: dict[str, Any]) -> Any:
        values = args[0] if args else given["input"]
        if name == "hardtanh" and (*args[1:3], *given.values())[:2] == (0.0, 6.0):
            name = "relu6"  # as torch's module computes it
        rest = {key: each for key, each in given.items() if key != "input"}
        flat = None
        if values.is_floating_point() and values.numel() and values.ndim > 1:
            dim = values.ndim - 1 if self._units_last else 1
            with torch.no_grad():
                flat = flatness(
                    lambda x: func(x, *args[1:], **rest), values, unit_dim=dim, name=name
                )
        output = func(*args, **given)
        if flat is not None:
            self._keep("activation", name, output, flat=flat)
        return output

    def _keep(self, role: Role, operation: str, tensor: Tensor, **more: Any) -> None:
        layer = self._running[-1].layer if self._running else ""
        signal = Signal(
            layer=layer,
            operation=operation,
            role=role,
            values=values_of(tensor),
            shape=tuple(tensor.shape),
            **more,
        )
        self.signals.append(signal)
        if tensor.requires_grad:

            def hear(gradient: Tensor) -> None:
                signal.gradient = norm_of(gradient)

            tensor.register_hook(hear)

    def _used(self, given: Any) -> tuple[str, ...]:
        found = []
        for each in _tensors(given):
            name = self._weights.get(each.untyped_storage().data_ptr())
            if name is not None:
                found.append(name)
        return tuple(found)

    def _mark(self) -> None:
        if self._running:
            self._running[-1].seen = True


def _is_parameter(value: Any) -> bool:
    return isinstance(value, nn.Parameter)


def _first(output: Any) -> Tensor | None:
    return next(iter(_tensors(output)), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, whatever holds them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
