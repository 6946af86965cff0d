"""What looking at a network left behind: in the network, and in torch."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch._dynamo  # replaces functions of torch when it is first imported: not a tool's doing
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks
from torch.overrides import _len_torch_function_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

STORES = ("_parameters", "_buffers", "_modules", "training")


class Footprints:
    """Take one before the tool runs; `left()` then names what is no longer as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.before = self._state()
        self.torch = _functions()

    def left(self) -> list[str]:
        after = self._state()
        changed = [name for name, state in self.before.items() if not _same(state, after[name])]
        now = _functions()
        patched = [key for key, value in self.torch.items() if now.get(key) is not value]
        if patched:
            changed.append(f"torch patched ({patched[0][1]})")
        return changed

    def _state(self) -> dict[str, Any]:
        """By what a user would call it. Versions of tensors tell writes on any device."""
        modules = dict(self.model.named_modules(remove_duplicate=False))
        hooks, attributes, training = {}, {}, {}
        for name, each in modules.items():
            for key, value in vars(each).items():
                if "_hooks" in key:
                    hooks[name, key] = tuple(value)
                elif key not in STORES:
                    attributes[name, key] = id(value)
            training[name] = each.training
        for key in dir(global_hooks):
            if key.startswith("_global") and isinstance(getattr(global_hooks, key), dict):
                hooks["", key] = tuple(getattr(global_hooks, key))
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        buffers = dict(self.model.named_buffers(remove_duplicate=False))
        return {
            "modules": {name: id(each) for name, each in modules.items()},
            "hooks": hooks,
            "attributes": attributes,
            "training mode": training,
            "parameters": {name: _tensor(each) for name, each in parameters.items()},
            "gradients": {name: each.grad is None for name, each in parameters.items()},
            "buffers": {name: _place(each) for name, each in buffers.items()},
            "norm statistics": {
                name: each._version
                for name, each in buffers.items()
                if name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
            },
            "random state": (torch.get_rng_state().tolist(), random.getstate()),
            "modes": (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                len(_get_current_dispatch_mode_stack()),
                _len_torch_function_stack(),
                torch.is_autocast_enabled("cpu"),
                torch.get_default_dtype(),
                torch.get_default_device(),
                torch.get_num_threads(),
                torch.backends.mha.get_fastpath_enabled(),
                torch.are_deterministic_algorithms_enabled(),
            ),
        }


def _place(tensor: Tensor) -> tuple[Any, ...]:
    return id(tensor), tensor.device, tensor.dtype, tuple(tensor.shape)


def _tensor(tensor: Tensor) -> tuple[Any, ...]:
    return *_place(tensor), tensor._version, tensor.requires_grad


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _functions() -> dict[tuple[str, str], Any]:
    """What people patch: functions of torch, of tensors, of modules."""
    owners: dict[str, Any] = {
        "torch": torch,
        "functional": nn.functional,
        "tensor": torch.Tensor,
        "init": nn.init,
        "checkpoint": torch.utils.checkpoint,
        "function": torch.autograd.Function,
        "module": nn.Module,
    }
    owners |= {name: each for name, each in vars(nn).items() if isinstance(each, type)}
    return {
        (name, key): value
        for name, owner in owners.items()
        for key, value in vars(owner).items()
        if callable(value)
    }
