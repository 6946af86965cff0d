"""Who is mixed with whom: functions of (seed, step), for a whole training batch.

A leaf that mixes, `(images, pairs, amount, fill) -> (images, share)`, makes of each image and its
partner one picture, and says which share of it, 0 to 1, is the image's own; the label follows.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwright.core import keyed


@dataclass(frozen=True)
class Pairs:
    """The draws of training batch `step` of a run with `seed`: `count` images, each with the
    partner at its place in a keyed order. An image can be its own partner.

    >>> Pairs(0, 3, 4).partner.tolist() == Pairs(0, 3, 4).partner.tolist()
    True
    """

    seed: int
    step: int
    count: int

    @functools.cached_property
    def partner(self) -> npt.NDArray[np.int64]:
        """Where in the batch the partner of each image stands, (N,)."""
        return keyed.permutation(self.count, self.seed, "mix", self.step)

    def uniform(self, lane: str) -> float:
        """One number in [0, 1) for the whole batch."""
        return float(keyed.uniform(self.step, self.seed, "mix", lane))

    def integer(self, count: int, lane: str) -> int:
        """One of 0 .. count-1 for the whole batch."""
        return int(self.uniform(lane) * count)

    def beta(self, alpha: float, lane: str) -> float:
        """One number in [0, 1] from Beta(alpha, alpha): near 0 or 1 for small alpha, uniform for
        1, near 1/2 for large."""
        return symmetric_beta(alpha, self.uniform(f"{lane}-u"), self.uniform(f"{lane}-v"))


def symmetric_beta(alpha: float, u: float, v: float) -> float:
    """Beta(alpha, alpha) as a function of two numbers uniform in [0, 1).

    Exact for every alpha > 0 and without rejection, so that a key is enough:
    (1 + c sqrt(r) / sqrt(1 + c^2 r)) / 2 with c = cos 2 pi v and r = u^(-1/alpha) - 1 (Devroye
    1996, "Random variate generation in one line of code", from Bailey's Student t).
    """
    exponent = min(-math.log(1 - u) / alpha, 700.0)  # 1 - u is never 0; e^700 is as good as more
    cosine = math.cos(2 * math.pi * v)
    spread = math.expm1(exponent) * cosine * cosine
    return 0.5 * (1 + math.copysign(math.sqrt(spread / (1 + spread)), cosine))
