"""The draws of an augmentation: functions of (seed, epoch, index of the sample) and a lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netwright.core import keyed


@dataclass(frozen=True)
class Keys:
    """Who draws: the samples `index` (N,) of the training data, in `epoch` of a run with `seed`.

    A lane is the name of one decision ("flip", "shift-x"); different lanes are independent.

    >>> pair, alone = Keys(0, 1, np.array([5, 9])), Keys(0, 1, np.array([9]))
    >>> bool(pair.uniform("flip")[1] == alone.uniform("flip")[0])
    True
    """

    seed: int
    epoch: int
    index: npt.NDArray[np.int64]

    def uniform(self, lane: str) -> npt.NDArray[np.float64]:
        """One number in [0, 1) for each sample, (N,)."""
        return keyed.uniform(self.index, self.seed, self.epoch, lane)

    def uniforms(self, lanes: Sequence[str]) -> npt.NDArray[np.float64]:
        """`uniform` of each of several lanes, (lanes, N), in the time of one."""
        return keyed.uniforms(self.index, lanes, self.seed, self.epoch)

    def integers(self, low: int, high: int, lane: str) -> npt.NDArray[np.int64]:
        """One integer in [low, high], both ends included, for each sample, (N,)."""
        return keyed.integers(self.index, low, high, self.seed, self.epoch, lane)

    def table(self, count: int, lane: str) -> npt.NDArray[np.float64]:
        """`count` numbers in [0, 1) for each sample, (N, count)."""
        cells = self.index[:, None] * count + np.arange(count)
        return keyed.uniform(cells, self.seed, self.epoch, lane)
