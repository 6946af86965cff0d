"""The rate falls along half a cosine and starts again at its full height."""

from __future__ import annotations

import math

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class CosineRestartsOptions(ScheduleCommon):
    """How many falls, and how much longer each is. They fill the run, whatever its length."""

    cycles: int = setting(3, ge=1, le=1000, help="falls in the whole run; 1 is plain cosine")
    growth: float = setting(2.0, ge=1, help="how many times longer each fall is than the last")
    final: float = setting(0.0, ge=0, le=1, help="factor at the end of each fall")


@SCHEDULES.register(
    "cosine-restarts", options=CosineRestartsOptions, paper="Loshchilov & Hutter 2017, SGDR, eq. 5"
)
def cosine_restarts(step: int, total: int, options: CosineRestartsOptions) -> float:
    """Half a cosine from 1 to `final`, then the next, `growth` times as long.

        factor = final + (1 - final) (1 + cos(pi share)) / 2

    with share that of the present fall that is over. The paper gives the length of the first fall
    and lets the run end where it may; here the falls are fitted to the run, so that it ends at the
    bottom of one.

    When to use it: to have a good network at several times of one run, at the end of each fall
    (averaging their answers is an ensemble at the price of one run).

    What goes wrong: just after a restart the network is worse for a while, which is no reason to
    stop; early stopping needs more patience than a fall lasts. For the one best network plain
    `cosine` of the same length usually does as well.

    >>> options = CosineRestartsOptions(cycles=2, growth=3.0)  # a quarter of the run, then the rest
    >>> [round(cosine_restarts(step, 8, options), 2) for step in range(9)]
    [1.0, 0.5, 1.0, 0.93, 0.75, 0.5, 0.25, 0.07, 0.0]
    """
    # Counted back from the last, which is 1: a power may vanish, and must not overflow.
    lengths = [options.growth**-number for number in reversed(range(options.cycles))]
    place = min(step, total) / total * sum(lengths)
    begin = 0.0
    for length in lengths[:-1]:
        # A millionth forgives the rounding that would put a restart one step late.
        if place < begin + length - 1e-6 * length:
            break
        begin += length
    else:
        length = lengths[-1]
    share = min(1.0, max(0.0, (place - begin) / length))
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * share)) / 2
