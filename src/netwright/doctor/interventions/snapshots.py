"""The state of a training in memory: weights, buffers, and what its optimizers remember.

Learning rates are not part of it: they belong to the loop and its schedulers.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

KEPT = 4
"""Snapshots that are kept: the first, and the newest ones."""

MOST_BYTES = 4 * 2**30
"""That they may take together; where two do not fit nothing can be repaired."""

TIME = 0.01
"""Of the training's time, that making them may take."""

FIRST = (0, 10, 20, 40, 80)
"""Steps after which the first ones are made."""


class Snapshot:
    """Copies on the device of each tensor. `step` is how many steps were taken by then."""

    def __init__(self, step: int, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.step = step
        with torch.no_grad():
            self._held = {id(each): each.detach().clone() for each in _held(model, optimizers)}
            self._states = [
                {id(key): copy.deepcopy(value) for key, value in each.state.items()}
                for each in optimizers
            ]

    def put_back(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """The same tensors have the values of then; what is not there any more is left out."""
        with torch.no_grad():
            for each in _held(model, optimizers):
                saved = self._held.get(id(each))
                if saved is not None and saved.shape == each.shape:
                    each.copy_(saved)
            for optimizer, states in zip(optimizers, self._states, strict=False):
                for key in list(optimizer.state):
                    if id(key) in states:
                        optimizer.state[key] = copy.deepcopy(states[id(key)])
                    else:
                        del optimizer.state[key]

    @property
    def finite(self) -> bool:
        """Whether every value in it is."""
        return all(
            bool(torch.isfinite(each).all())
            for each in self._held.values()
            if each.is_floating_point()
        )


class Snapshots:
    """Makes and keeps them within the bounds above."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model, self._optimizers = model, optimizers
        self._kept: list[Snapshot] = []
        self._next = 0
        self._spent = 0.0
        self._began = time.perf_counter()
        self.bytes = _bytes(model, optimizers)
        self.most = min(KEPT, MOST_BYTES // max(1, self.bytes))
        """How many are kept; below two nothing can be repaired."""

    def due(self, step: int) -> bool:
        """Whether one is to be made after that step."""
        return step >= self._next and self.most > 1

    def take(self, step: int) -> None:
        """Make one of the present state, and say when the next is due."""
        began = time.perf_counter()
        self._kept.append(Snapshot(step, self._model, self._optimizers))
        if len(self._kept) > self.most:
            del self._kept[1]
        now = time.perf_counter()
        self._spent += now - began
        soon = next((each for each in FIRST if each > step), None)
        # As far apart as keeps their cost within its share, and a twentieth of the way so far.
        share = self._spent / max(1e-9, TIME * (now - self._began))
        later = step + max(FIRST[1], step // 20, math.ceil(share * step / 10))
        self._next = soon if soon is not None else later

    def before(self, step: int) -> Snapshot | None:
        """The newest at or before that step, the first where all are later; None where none is."""
        sound = [each for each in self._kept if each.step <= step] or self._kept[:1]
        return sound[-1] if sound else None

    def forget_after(self, step: int) -> None:
        """The training is back at that step."""
        self._kept = [each for each in self._kept if each.step <= step]
        self._next = step + FIRST[1]


def _held(model: nn.Module, optimizers: Sequence[Optimizer]) -> Iterator[Tensor]:
    """Every tensor that a training changes, each once."""
    seen: set[int] = set()
    of_optimizers = (
        each for one in optimizers for group in one.param_groups for each in group["params"]
    )
    for source in (model.parameters(), model.buffers(), of_optimizers):
        for each in source:
            if isinstance(each, Tensor) and id(each) not in seen and not _shapeless(each):
                seen.add(id(each))
                yield each


def _shapeless(tensor: Tensor) -> bool:
    return torch.nn.parameter.is_lazy(tensor) or tensor.is_meta


def _bytes(model: nn.Module, optimizers: Sequence[Optimizer]) -> int:
    """What one takes, with two values that an optimizer remembers of each weight."""
    size = sum(each.numel() * each.element_size() for each in _held(model, optimizers))
    return 3 * size
