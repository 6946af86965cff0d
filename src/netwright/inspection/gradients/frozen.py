"""Randomness that comes again: dropout drops the same units in every evaluation."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch


class Replay:
    """The random states of one moment, put back as often as they are asked for."""

    def __init__(self, generators: Iterable[torch.Generator] = ()) -> None:
        self._ways: list[tuple[Callable[[], object], Callable[..., object], object]] = []
        self._keep(torch.get_rng_state, torch.set_rng_state)
        if torch.cuda.is_initialized():
            self._keep(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)
        self._keep(random.getstate, random.setstate)
        self._keep(np.random.get_state, np.random.set_state)
        for each in generators:
            self._keep(each.get_state, each.set_state)

    def _keep(self, get: Callable[[], object], put: Callable[..., object]) -> None:
        self._ways.append((get, put, get()))

    def again(self) -> None:
        """All states are what they were at the beginning."""
        for _, put, state in self._ways:
            put(state)

    def narrow(self) -> None:
        """Forget the states that nothing has drawn from since."""
        self._ways = [each for each in self._ways if not _same(each[0](), each[2])]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global random states begin at `seed`, and are afterwards what they were."""
    before = Replay()
    try:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        before.again()


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
