"""Does memory grow with the steps, and are old losses still there with their graphs?

The graph of a loss is marked by a small object that lives as long as it does; how many of the
marks are alive many steps later tells whether somebody keeps the losses.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from typing import Any

import torch
from torch import Tensor

from netwright.doctor.watching.series import Series
from netwright.records.facts.growth import Growth

EVERY = 10
"""Steps between two marks."""

LATER = 3
"""Marks after which an older one should be gone."""


NODES = 400
"""Of a graph that are walked through at the most, from the loss back to the inputs."""


class _Mark:
    __slots__ = ("__weakref__",)


def _farthest(begin: Any) -> Any:
    """The last node, breadth first, that is more than the door of a parameter."""
    seen, last, row = {begin}, begin, [begin]
    while row and len(seen) < NODES:
        following = []
        for node in row:
            for each, _ in node.next_functions:
                if each is None or each in seen or each.name().endswith("AccumulateGrad"):
                    continue
                seen.add(each)
                following.append(each)
        last, row = (following[0] if following else last), following
    return last


class Memory:
    """Looks at memory and at old graphs every few steps."""

    def __init__(self, *, cuda: bool) -> None:
        self._cuda = cuda
        self._rows = Series(("step", "memory"), most=512)
        self._marks: deque[weakref.ref[_Mark]] = deque(maxlen=256)
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

    def loss(self, step: int, loss: Tensor) -> None:
        """A loss on which a backward begins."""
        if step % EVERY or loss.grad_fn is None:
            return
        mark = _Mark()
        # A node of the graph carries a dict of its own for whoever wants to note something. The one
        # that is farthest from the loss lives as long as anything that was computed from it.
        notes: Any = _farthest(loss.grad_fn).metadata
        notes["netwright"] = mark
        self._marks.append(weakref.ref(mark))

    def stepped(self, step: int) -> None:
        if step % EVERY == 0:
            held = self._held()
            if held is not None:
                self._rows.add({"step": step, "memory": held})

    def _held(self) -> float | None:
        if self._cuda:
            return float(torch.cuda.memory_allocated())
        try:
            with open("/proc/self/statm", "rb") as file:
                return float(int(file.read().split()[1]) * self._page)
        except (OSError, ValueError, IndexError):
            return None

    def facts(self) -> Growth:
        old = list(self._marks)[:-LATER]
        return Growth(
            step=self._rows.column("step"),
            memory=self._rows.column("memory"),
            graphs=len(old),
            kept=sum(each() is not None for each in old),
        )
