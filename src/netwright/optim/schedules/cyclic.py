"""The rate rises and falls between two bounds, over and over, in straight lines."""

from __future__ import annotations

import math
from typing import Literal

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class CyclicOptions(ScheduleCommon):
    """`optim.lr` is the upper bound; the rest says where the lower one is, and how often."""

    cycles: float = setting(4.0, gt=0, le=1_000_000, help="cycles in the whole run")
    low: float = setting(0.1, ge=0, lt=1, help="factor of the lower bound")
    rise: float = setting(0.5, gt=0, lt=1, help="share of each cycle in which the rate rises")
    shape: Literal["triangular", "triangular2", "exp"] = setting(
        "triangular", help="peaks that stay, that halve with each cycle, that decay by gamma"
    )
    gamma: float = setting(
        0.1, gt=0, le=1, help="for exp: what is left of the height at the end of the run"
    )


@SCHEDULES.register(
    "cyclic",
    options=CyclicOptions,
    rises=True,
    paper="Smith 2017, Cyclical learning rates for training neural networks, sec. 3",
)
def cyclic(step: int, total: int, options: CyclicOptions) -> float:
    """From `low` up to 1 and down again, `cycles` times; it begins low.

        factor = low + (1 - low) height(step) triangle(step)

    with the triangle between 0 and 1. height is 1 for triangular, 1/2 to the number of cycles done
    for triangular2, and gamma^(step / total) for exp, whose gamma counts over the whole run and not
    over one step as in the paper: a longer run then keeps its form.

    When to use it: when the best rate is not known to better than a factor of ten; the bounds come
    from a range test.

    What goes wrong: weights that are taken near a peak are poor, so let the run end with a whole
    cycle, or take the best. It rises by itself: `sched.warmup` before it is refused.

    >>> [round(cyclic(step, 8, CyclicOptions(cycles=2, low=0.0)), 2) for step in range(9)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 0.5, 0.0]
    """
    # A millionth of a cycle forgives 0.1 * 3 = 0.30000000000000004 just below a whole number.
    place = options.cycles * min(step, total) / total
    done = math.floor(place + 1e-6)
    share = max(0.0, place - done)
    if share < options.rise:
        triangle = share / options.rise
    else:
        triangle = (1 - share) / (1 - options.rise)
    height = 1.0
    if options.shape == "triangular2":
        height = 0.5**done
    elif options.shape == "exp":
        height = options.gamma ** (step / total)
    return options.low + (1 - options.low) * height * triangle
