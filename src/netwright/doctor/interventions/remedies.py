"""What may be changed after going back: a lower rate, a bound on the gradients, or both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FACTORS = (0.3, 0.1, 0.03, 0.01)
"""Of the rate: what a race tries."""

FARTHER = (1e-3, 1e-4, 1e-5, 1e-6)
"""What it tries besides, one after the other, while the lowest so far is the best."""

LADDER = (0.3, 0.1, 0.1)
"""The same where nothing can be tried beforehand, one rung for each time."""

STEEP = (0.1, 0.1, 0.1)
"""The ladder of a training that had learned nothing yet: it is far off."""

CLIPPED = {"exploding-gradients": 0.5, "loss-spike": 0.9}
"""Conditions that clipping is for, and the share of the norms seen that stays unclipped."""

FEWEST = 10
"""Norms from which on a percentile says something."""

CLEAR = 0.9
"""A trial must come below this share of the loss that the training as it was had there: else it
says nothing, and the ladder does."""


@dataclass(frozen=True)
class Remedy:
    """`rate` multiplies the rate; `clip` bounds the norm of the gradients."""

    rate: float = 1.0
    clip: float | None = None


def remedies_for(finding: str, norms: Iterable[float]) -> list[Remedy]:
    """What is worth a race, the mildest first. `norms` are those of the gradients of sound steps.

    >>> [each.clip for each in remedies_for("exploding-gradients", range(1, 21))]
    [11, 11, 11, 11]
    >>> [each.rate for each in remedies_for("divergence", [])]
    [0.3, 0.1, 0.03, 0.01]
    """
    share = CLIPPED.get(finding)
    known = sorted(each for each in norms if math.isfinite(each) and each > 0)
    if share is not None and len(known) >= FEWEST:
        limit = known[min(len(known) - 1, int(share * len(known)))]
        return [Remedy(1.0, limit), *(Remedy(each, limit) for each in FACTORS[:3])]
    return [Remedy(each) for each in FACTORS]


def lower(remedies: Sequence[Remedy], scores: Sequence[float]) -> Remedy | None:
    """What a race tries next, after `scores`; None where the lowest rate was not the best.

    >>> tried = [Remedy(0.03), Remedy(0.01)]
    >>> lower(tried, [2.0, 1.0]), lower(tried, [1.0, 1.1]), lower(tried, [math.inf, math.inf])
    (Remedy(rate=0.001, clip=None), None, Remedy(rate=0.001, clip=None))
    """
    if min(scores) < scores[-1]:
        return None
    last = remedies[-1]
    rate = next((each for each in FARTHER if each < last.rate), None)
    return None if rate is None else Remedy(rate, last.clip)


def rung(remedies: Sequence[Remedy], *, number: int, learned: bool) -> Remedy:
    """What is done without a race, at the `number`-th time (from 0).

    >>> clipped = [Remedy(1.0, 2.0), Remedy(0.3, 2.0)]
    >>> rung(clipped, number=0, learned=True), rung(clipped, number=1, learned=True)
    (Remedy(rate=1.0, clip=2.0), Remedy(rate=0.3, clip=2.0))
    """
    clip = remedies[0].clip
    if clip is not None:
        return Remedy((1.0, *LADDER)[min(number, len(LADDER))], clip)
    ladder = LADDER if learned else STEEP
    return Remedy(ladder[min(number, len(ladder) - 1)])


def score(losses: Sequence[float], steps: int) -> float:
    """What a trial of `steps` is judged by: the mean of its last third; infinite where it broke."""
    if len(losses) < steps or not losses or not all(map(math.isfinite, losses)):
        return math.inf
    last = losses[-max(1, len(losses) // 3) :]
    return math.fsum(last) / len(last)
