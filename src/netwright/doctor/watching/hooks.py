"""The hooks of a watch besides those on the model's doors: on steps, and on states being loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.roots import guarded

if TYPE_CHECKING:
    from netwright.doctor.watching.watcher import Watcher


class Hooks:
    """Attached for one watch, and taken away with it."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._ends: list[Callable[[], None]] = []

    def attach(self) -> None:
        """To the model, and to every optimizer that the watcher knows."""
        watcher = self._watcher
        loaded = guarded(lambda _, keys, *__: self._loaded(keys), watcher.failed)
        if not isinstance(watcher.model, torch.jit.ScriptModule):  # which takes no such hook
            hooked = watcher.model.register_load_state_dict_post_hook(Hook(loaded))
            self._ends.append(hooked.remove)
        for each in watcher.optimizers:
            self.add(each)

    def add(self, optimizer: Optimizer) -> None:
        """To one more optimizer."""
        watcher = self._watcher
        before = optimizer.register_step_pre_hook(watcher.doze.step_begins)
        after = optimizer.register_step_post_hook(watcher.doze.step_ended)
        loaded = guarded(lambda *_: self._loaded(optimizer=True), watcher.failed)
        state = optimizer.register_load_state_dict_post_hook(loaded)
        self._ends += [before.remove, after.remove, state.remove]

    def remove(self) -> None:
        """All of them."""
        for end in self._ends:
            end()
        self._ends.clear()

    def _loaded(self, keys: Any = None, *, optimizer: bool = False) -> None:
        """Weights or the state of an optimizer were loaded; `keys` are the names that did not
        match."""
        watcher = self._watcher
        if watcher.ours:
            return
        watcher.ledger.settle()
        if optimizer:
            watcher.restarts.optimizer_loaded(watcher.steps)
        else:
            absent = len(getattr(keys, "missing_keys", ()))
            names = len(watcher.model.state_dict()) if absent else 1
            watcher.restarts.loaded(watcher.steps, absent / max(1, names))
