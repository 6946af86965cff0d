"""Run somebody's network once more, and nobody can tell afterwards.

Parameters are not written by a forward pass; buffers, attributes and random states may be, and
are put back. What the network prints and warns of meanwhile is dropped.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from netwright.core.unheard import unheard


@dataclass(frozen=True)
class RandomState:
    """The state of every global generator at one moment."""

    torch_state: torch.Tensor = field(default_factory=torch.get_rng_state)
    cuda: Any = field(
        default_factory=lambda: (
            torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        )
    )
    python: Any = field(default_factory=random.getstate)
    numpy: Any = field(
        default_factory=lambda: (
            sys.modules["numpy"].random.get_state() if "numpy" in sys.modules else None
        )
    )

    @classmethod
    def of_torch(cls) -> RandomState:
        """Torch's generators alone: some microseconds, where all of them take a hundred."""
        return cls(python=None, numpy=None)

    def restore(self) -> None:
        torch.set_rng_state(self.torch_state)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.python is not None:
            random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)


@dataclass(frozen=True)
class Surroundings:
    """What torch was set to when a forward pass began: autocast by kind of device."""

    autocast: tuple[tuple[str, torch.dtype], ...]

    @classmethod
    def now(cls) -> Surroundings:
        kinds = [each for each in ("cpu", "cuda") if torch.is_autocast_enabled(each)]
        return cls(tuple((each, torch.get_autocast_dtype(each)) for each in kinds))

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype=dtype))
            yield


@contextlib.contextmanager
def quiet(*models: nn.Module, begin: RandomState | None = None) -> Iterator[None]:
    """The block may run the models forward; afterwards all is as it was before it.

    `begin` is the random state the block starts from. The block sees copies of the buffers: what a
    backward pass still waits for must not be written to, not even with its own values.
    """
    modules = {id(each): each for model in models for each in model.modules()}
    state = RandomState()
    buffers = [
        (buffer, _written(buffer), buffer.detach().clone())
        for module in modules.values()
        for buffer in module._buffers.values()
        if buffer is not None
    ]
    attributes = [
        (
            own,
            own.copy(),
            [(v, v.copy()) for v in own.values() if type(v) in (list, dict, set, OrderedDict)],
        )
        for own in (vars(module) for module in modules.values())
    ]
    if begin is not None:
        begin.restore()
    copies = {id(buffer): content.clone() for buffer, _, content in buffers}
    for module in modules.values():
        if type(module._buffers) in (dict, OrderedDict):
            for name, buffer in module._buffers.items():
                module._buffers[name] = copies.get(id(buffer), buffer)
    try:
        with unheard():
            yield
    finally:
        for own, before, containers in attributes:
            if own.keys() != before.keys() or any(own[name] is not before[name] for name in before):
                own.clear()
                own.update(before)
            for container, content in containers:
                if container != content if _plain(content) else True:
                    _refill(container, content)
        with torch.no_grad(), torch.inference_mode(False):
            for buffer, version, content in buffers:
                if _written(buffer) != version:  # it was reached by another name
                    buffer.copy_(content)
        state.restore()


def weight_of(module: nn.Module | None) -> torch.Tensor | None:
    """The weight of a layer. One that is computed when it is asked for (by a parametrization: a
    spectral norm counts its iterations) may write buffers and draw random numbers."""
    if module is None:
        return None
    own = module._parameters.get("weight", vars(module).get("weight"))
    if own is None and hasattr(type(module), "weight"):
        with quiet(module):
            own = module.weight
    return own if isinstance(own, torch.Tensor) else None


def _written(buffer: torch.Tensor) -> int:
    """How often it was written to; tensors of inference mode do not count that."""
    return -1 if buffer.is_inference() else buffer._version


def _plain(content: Any) -> bool:
    """Whether comparing it is cheap and cannot fail."""
    parts = content.values() if isinstance(content, dict) else content
    return all(isinstance(each, str | int | float | bool | None) for each in parts)


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


class _Eagerly:
    """Torch's stance belongs to the process, and `set_stance` puts back what it found: threads that
    take turns would leave the program uncompiled for good. So the first one in changes it, the last
    one out puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._stance: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside and "torch._dynamo" in sys.modules:
                self._stance = torch.compiler.set_stance("force_eager")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._stance is not None:
                self._stance.__exit__(None, None, None)
                self._stance = None


as_written = _Eagerly()
"""What a block under it runs is not compiled anew: a graph for a batch of ours would cost seconds,
and count against the program's own."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

LIBRARIES = ("torch.", "netwright.", "accelerate.", "deepspeed.", "fairscale.", "peft.")
"""Whose hooks belong to what a module computes (weight norm, spectral norm, weights that are
gathered when they are needed), or know themselves that a pass is ours."""


@contextlib.contextmanager
def hushed(*models: nn.Module, begin: RandomState | None = None) -> Iterator[None]:
    """`quiet`, and hooks that somebody laid on the modules, or on all modules, are not woken by
    the passes: a list of activations that he keeps must not grow by ours."""
    modules = {id(each): each for model in models for each in model.modules()}
    with quiet(*models, begin=begin), silenced(modules.values()):
        yield


@contextlib.contextmanager
def silenced(modules: Iterable[nn.Module], own: tuple[str, ...] = LIBRARIES) -> Iterator[None]:
    """Meanwhile the modules have only those hooks that the libraries `own` put there."""
    everyones = vars(torch.nn.modules.module)
    places = [(vars(module), name) for module in modules for name in HOOKS]
    places += [(everyones, f"_global{name}") for name in HOOKS if f"_global{name}" in everyones]
    kept = []
    for holder, name in places:
        hooks = holder.get(name)
        if hooks and not all(_belongs(hook, own) for hook in hooks.values()):
            kept.append((holder, name, hooks))
    try:
        for holder, name, hooks in kept:
            holder[name] = OrderedDict(
                (key, hook) for key, hook in hooks.items() if _belongs(hook, own)
            )
        yield
    finally:
        for holder, name, hooks in kept:
            holder[name] = hooks


def _belongs(hook: Any, own: tuple[str, ...]) -> bool:
    place = getattr(hook, "__module__", None) or type(hook).__module__
    return f"{place}.".startswith(own)


def strange_hooks(model: nn.Module) -> bool:
    """Whether a module has forward hooks of somebody else's, which an extra pass would wake.

    Hooks of torch itself (weight norm, spectral norm) compute weights, and do no harm.
    """
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for hook in hooks.values():
                place = getattr(hook, "__module__", None) or type(hook).__module__
                if not str(place).startswith(("torch.", "netwright.")):
                    return True
    return False
