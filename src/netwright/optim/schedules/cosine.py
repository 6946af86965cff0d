"""The rate falls along half a cosine: slowly at both ends, fast between."""

from __future__ import annotations

import math

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class CosineOptions(ScheduleCommon):
    """Where it ends."""

    final: float = setting(0.0, ge=0, le=1, help="factor at the end of the run")


@SCHEDULES.register("cosine", options=CosineOptions, paper="Loshchilov & Hutter 2017, SGDR, eq. 5")
def cosine(step: int, total: int, options: CosineOptions) -> float:
    """Half a cosine from 1 to `final`, without restarts.

        factor = final + (1 - final) (1 + cos(pi step / total)) / 2

    Half of the run has more than half of the rate, and the last tenth less than a fortieth: fast
    first, settled at the end, with nothing to choose.

    When to use it: the first choice for a run whose length is known.

    What goes wrong: it is spread over the whole run, so a run that is stopped early never saw its
    low rates, and a checkpoint from the middle is not a shorter run's result. To go on after the
    end begins at a rate of 0: raise `epochs` before the run, or use `cosine-restarts`.

    >>> [round(cosine(step, 4, CosineOptions()), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    fall = (1 + math.cos(math.pi * step / total)) / 2
    return options.final + (1 - options.final) * fall
