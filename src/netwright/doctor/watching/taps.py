"""Where a loop can be heard: torch's own functions, replaced by ones that tell and then do it.

Everything is patched once for all listeners and given back when the last has gone. A listener that
raises is dropped and told so; the loop never notices.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.autograd
import torch.nn.utils.clip_grad
from torch.utils.data import DataLoader, dataloader

Heard = Callable[..., None]


class Tap:
    """One function of torch, by the object that holds it and its name."""

    def __init__(self, holder: Any, name: str) -> None:
        self.holder = holder
        self.name = name
        self._listeners: list[tuple[Heard | None, Heard | None]] = []
        self._plain: Any = None
        self._lock = threading.Lock()

    def listen(self, before: Heard | None = None, after: Heard | None = None) -> Callable[[], None]:
        """`before(*args, **kwargs)` and `after(result, *args, **kwargs)` are called from here on;
        the returned function ends it."""
        with self._lock:
            pair = (before, after)
            if not self._listeners:
                self._open()
            self._listeners.append(pair)

        def end() -> None:
            with self._lock:
                if pair in self._listeners:
                    self._listeners.remove(pair)
                    if not self._listeners:
                        self._close()

        return end

    def _open(self) -> None:
        own = vars(self.holder)
        self._inherited = self.name not in own
        self._plain = getattr(self.holder, self.name) if self._inherited else own[self.name]
        plain, listeners = self._plain, self._listeners

        @functools.wraps(plain)
        def told(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return plain(*args, **kwargs)
            heard = tuple(listeners)
            for before, _ in heard:
                if before is not None:
                    before(*args, **kwargs)
            result = plain(*args, **kwargs)
            for _, after in heard:
                if after is not None:
                    after(result, *args, **kwargs)
            return result

        self._told = told
        setattr(self.holder, self.name, told)

    def _close(self) -> None:
        # Somebody else may have wrapped it since: then their wrapper stays, and ours passes on.
        if getattr(self.holder, self.name, None) is self._told:
            if self._inherited:
                delattr(self.holder, self.name)
            else:
                setattr(self.holder, self.name, self._plain)


BACKWARD = Tap(torch.autograd, "backward")
# The work of `clip_grad_norm_`, called by it through its own module: heard however it was imported.
CLIP_NORM = Tap(torch.nn.utils.clip_grad, "_clip_grads_with_norm_")
SCALED = Tap(torch.amp.GradScaler, "scale")
SCALE_UPDATED = Tap(torch.amp.GradScaler, "update")
COMPILED = Tap(torch, "compile")
COMPILED_IN_PLACE = Tap(torch.nn.Module, "compile")
OPTIMIZER_MADE = Tap(torch.optim.Optimizer, "__init__")
ITERATED = Tap(DataLoader, "__iter__")
DELIVERED = Tap(dataloader._BaseDataLoaderIter, "__next__")
