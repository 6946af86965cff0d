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

    >>> constant(7, 10, ConstantOptions())
    1.0
    """
    return 1.0
