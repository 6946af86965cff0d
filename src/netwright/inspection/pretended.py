"""Twins of a model, its inputs and its optimizer in pretended tensors: CPU tensors without memory.

A pretended (fake) tensor has shape, strides, type and a storage of a size, on the meta device,
and passes for one on the CPU: torch then takes the ways through its kernels that it takes there.
Everything is made anew, so whatever the step does to the twins, the originals stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from netwright.core.errors import SettingError


class Pretender:
    """Makes pretended tensors, the same one for the same tensor, one storage for one storage."""

    def __init__(self) -> None:
        self.mode = _Pretence(allow_non_fake_inputs=True)
        self._twins: dict[int, tuple[Tensor, Tensor]] = {}
        self._storages: dict[tuple[int, torch.dtype], Tensor] = {}

    def model(self, model: nn.Module) -> nn.Module:
        """A copy of `model` whose parameters, buffers and other tensors are pretended.

        Raises `SettingError` for a lazy model that never ran, a scripted or a quantised one, and
        for one that cannot be copied.
        """
        model = _unwrapped(model)
        _refuse(model)
        memo: dict[int, Any] = {}
        for tensor in [*model.parameters(), *model.buffers()]:
            memo[id(tensor)] = self.tensor(tensor, whole=True)
        try:
            with _Strays(self):
                return copy.deepcopy(model, memo)
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise SettingError(
                "The model cannot be copied, and a step is traced on a copy: {reason}",
                hint="Copies are made with copy.deepcopy; keep files, locks and generators out "
                "of the modules.",
                reason=_reason(error),
            ) from error

    def inputs(self, values: Any) -> Any:
        """`values` with every tensor in them pretended, whatever holds them."""
        return tree_map_only(Tensor, self.tensor, values)

    def made(self) -> list[Tensor]:
        """All pretended tensors there are so far."""
        return [twin for _, twin in self._twins.values()]

    def optimizer(self, optimizer: Optimizer) -> Optimizer:
        """A copy of `optimizer` that has taken no step yet, over the twins of its parameters.

        Its hooks are left out, and so is a schedule's hold on its `step`.
        """
        twin = copy.copy(optimizer)
        twin.__dict__ = {
            name: self._own(value)
            for name, value in vars(optimizer).items()
            if name not in ("state", "step")
        }
        twin.state = type(optimizer.state)(dict)
        for name, value in vars(twin).items():
            if name.endswith("_hooks"):
                setattr(twin, name, type(value)())
        return twin

    def tensor(self, tensor: Tensor, *, whole: bool = False) -> Tensor:
        """The twin of `tensor`: `whole`, as a view of the twin of its storage; else of its own
        extent (a batch is often a slice of a data set)."""
        known = self._twins.get(id(tensor))
        if known is not None:
            return known[1]
        with self.mode, torch.no_grad():
            twin = self._view(tensor) if whole else self._alone(tensor)
        twin.requires_grad_(tensor.requires_grad)
        if isinstance(tensor, nn.Parameter):
            twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
        self._twins[id(tensor)] = (tensor, twin)  # held, so that the id stays its own
        return twin

    def passing(self, tensor: Tensor) -> Tensor:
        """A twin of `tensor` that lives as long as it is used, and no longer."""
        with self.mode:
            return self._alone(tensor)

    def _view(self, tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        key = (memory._cdata, tensor.dtype)
        if key not in self._storages:
            length = memory.nbytes() // tensor.element_size()
            self._storages[key] = torch.empty(length, dtype=tensor.dtype, device="cpu")
        return torch.as_strided(
            self._storages[key], tensor.shape, tensor.stride(), tensor.storage_offset()
        )

    def _alone(self, tensor: Tensor) -> Tensor:
        shape, stride = tensor.shape, tensor.stride()
        return torch.empty_strided(shape, stride, dtype=tensor.dtype, device="cpu")

    def _own(self, value: Any) -> Any:
        """An optimizer's attribute with twins for its parameters; its containers are new."""
        if isinstance(value, Tensor):
            return self.tensor(value, whole=True)
        if isinstance(value, Optimizer):
            return self.optimizer(value)
        if isinstance(value, dict):
            new = copy.copy(value)
            new.clear()
            new.update({self._own(key): self._own(each) for key, each in value.items()})
            return new
        if type(value) in (list, tuple):
            return type(value)(self._own(each) for each in value)
        return value


class _Pretence(FakeTensorMode):
    """Without torch's wrapping, which imports the whole compiler and logs what is only asked."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.dispatch(func, types, args, kwargs or {})


class _Strays(TorchFunctionMode):
    """Tensors that are plain attributes of a module are pretended as it is copied."""

    def __init__(self, pretender: Pretender) -> None:
        super().__init__()
        self._pretender = pretender

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            return memo.setdefault(id(tensor), self._pretender.tensor(tensor, whole=True))
        return func(*args, **(kwargs or {}))


def _unwrapped(model: nn.Module) -> nn.Module:
    """The network within what spreads it over devices or compiles it."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _refuse(model: nn.Module) -> None:
    if any(is_lazy(each) for each in _tensors(model)):
        raise SettingError(
            "The model is lazy: some of its weights have no shape yet.",
            hint="Run it once on a batch, then ask again:  model(batch)",
        )
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise SettingError(
                "{layer} is scripted: its operations cannot be followed through a step.",
                hint="Give the model that was scripted, before torch.jit.",
                layer=path or type(model).__name__,
            )
        if "quantized" in type(module).__module__.split("."):
            raise SettingError(
                "{layer} ({kind}) is quantised: it has no weights to train.",
                hint="Give the model as it was before it was quantised.",
                layer=path or "(model)",
                kind=type(module).__name__,
            )


def _tensors(model: nn.Module) -> Iterable[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
