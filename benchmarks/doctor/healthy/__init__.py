"""Healthy runs that look odd: each reaches a good result, by its own number.

A kind is a function of a seed and of `watched`, which puts its loop under whatever watches: called
with the model, the optimizer (or several) and, for tools that ask for them, `loss` and `batch`. It
returns what the run reached; `at_least` says what counts as good. An alarm on one is a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from setups import Watched
from split import Part, part_of

from netwright.core.registry import Registry

Run = Callable[[int, Watched], float]


@dataclass(frozen=True, kw_only=True)
class Kind:
    name: str
    run: Run
    at_least: float

    @property
    def part(self) -> Part:
        return part_of((self.name,))


KINDS: Registry[Kind] = Registry("kind of healthy run", "healthy")


def kind(name: str, *, at_least: float) -> Callable[[Run], Run]:
    """Enter a kind of healthy run."""

    def enter(run: Run) -> Run:
        KINDS.register(name)(Kind(name=name, run=run, at_least=at_least))
        return run

    return enter
