"""Faults: each a small function that takes healthy parts and breaks them.

`expects` are the names of conditions that are right answers; where there are several, `why` says
why each of them is. `on` are the set-ups on which the fault makes sense; whether it does harm there
is measured (`verify.py`), by what `hurts` names:

- `score`: the score on test data falls, or the loss there rises, or the run breaks down;
- `honesty`: what the loop reports is farther from the truth;
- `seconds`, `memory`: it takes more of them.

A leaf of this folder holds the faults of one group of the catalogue. `pair` joins two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from setups import Parts
from split import Part, part_of

from netwright.core.registry import Registry

Break = Callable[[Parts], None]
Hurts = Literal["score", "honesty", "seconds", "memory"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    name: str
    apply: Break
    expects: tuple[frozenset[str], ...]
    """One set of right answers for each cause."""
    on: tuple[str, ...]
    hurts: Hurts = "score"
    why: str = ""
    made_of: tuple[str, ...] = ()

    @property
    def part(self) -> Part:
        return part_of(self.made_of or (self.name,))


FAULTS: Registry[Fault] = Registry("fault", "faults")


def fault(
    name: str, *expects: str, on: str, hurts: Hurts = "score", why: str = ""
) -> Callable[[Break], Break]:
    """Enter a fault; `on` names set-ups, a space between them."""
    if len(expects) > 1 and not why:
        raise ValueError(f"{name} has several right answers and says not why")

    def enter(apply: Break) -> Break:
        made = Fault(
            name=name,
            apply=apply,
            expects=(frozenset(expects),),
            on=tuple(on.split()),
            hurts=hurts,
            why=why,
        )
        FAULTS.register(name)(made)
        return apply

    return enter


def pair(one: str, two: str, *, on: str) -> None:
    """A run that has both faults; the data is broken before the model, the model before the loop.

    Both must be entered already.
    """
    first, second = (FAULTS._entries[name].target for name in (one, two))

    def apply(parts: Parts) -> None:
        first.apply(parts)
        second.apply(parts)

    name = f"{one} + {two}"
    FAULTS.register(name)(
        Fault(
            name=name,
            apply=apply,
            expects=(*first.expects, *second.expects),
            on=tuple(on.split()),
            made_of=(one, two),
        )
    )
