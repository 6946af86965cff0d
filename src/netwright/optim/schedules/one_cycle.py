"""The rate rises once and falls once, far below where it began."""

from __future__ import annotations

import math

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class OneCycleOptions(ScheduleCommon):
    """`optim.lr` is the peak; the rest are factors of it."""

    rise: float = setting(0.3, gt=0, lt=1, help="share of the run in which the rate rises")
    start: float = setting(0.04, gt=0, le=1, help="factor at the beginning")
    final: float = setting(0.0004, ge=0, le=1, help="factor at the end")


@SCHEDULES.register(
    "one-cycle",
    options=OneCycleOptions,
    rises=True,
    paper="Smith & Topin 2018, Super-convergence; Smith 2018, A disciplined approach, part 1",
)
def one_cycle(step: int, total: int, options: OneCycleOptions) -> float:
    """From `start` up to 1 and down to `final`, each along half a cosine.

        rising   factor = start + (1 - start) (1 - cos(pi step / peak)) / 2,  peak = rise total
        falling  factor = final + (1 - final) (1 + cos(pi (step - peak) / (total - peak))) / 2

    The high rates in the middle keep the weights out of sharp minima, the low ones at the end
    settle them. Smith's line segments are cosines here, as later practice has them; the momentum is
    left as it is.

    When to use it: short runs at a high peak rate; networks that need warm-up, which it has inside.
    `optim.lr` is the peak, from a range test.

    What goes wrong: a peak as high as a constant rate could never be is the point of it, and a
    little higher diverges in the middle of the run: look at the loss at `rise` of the run before
    the rest is spent. As with `cosine`, a run that is stopped early never saw its low rates.
    `sched.warmup` before it is refused.

    >>> [round(one_cycle(step, 10, OneCycleOptions(final=0.0)), 2) for step in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    peak = options.rise * total
    if step < peak:
        return _between(options.start, 1.0, step / peak)
    return _between(1.0, options.final, min(1.0, (step - peak) / (total - peak)))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
