"""The rate stays as it is."""

from __future__ import annotations

from netwright.core.config import config
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class ConstantOptions(ScheduleCommon):
    """Nothing but the warm-up."""


@SCHEDULES.register("constant", options=ConstantOptions)
def constant(step: int, total: int, options: ConstantOptions) -> float:
    """The same rate in every step.

        factor = 1

    When to use it: to look for a rate, for very short runs, and where weights are averaged
    (`run.ema`) instead of settled by a falling rate.

    What goes wrong: with batches the loss stops at a floor of noise that is in proportion to the
    rate (2.1 times as high for twice the rate): a falling schedule ends lower. The last weights are
    a random point around the best.

    >>> constant(7, 10, ConstantOptions())
    1.0
    """
    return 1.0
