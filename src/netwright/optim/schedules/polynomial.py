"""The rate falls as a power of what is left of the run."""

from __future__ import annotations

from netwright.core.config import config, setting
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class PolynomialOptions(ScheduleCommon):
    """How it bends, and where it ends."""

    power: float = setting(1.0, gt=0, help="1 is a line; 2 falls fast at first", search=(0.5, 3.0))
    final: float = setting(0.0, ge=0, le=1, help="factor at the end of the run")


@SCHEDULES.register(
    "polynomial",
    options=PolynomialOptions,
    paper="Chen et al. 2018, DeepLab, sec. 4.1 (power 0.9); Mishkin et al. 2017 (power 1)",
)
def polynomial(step: int, total: int, options: PolynomialOptions) -> float:
    """A power of the remaining share, from 1 to `final`.

        factor = final + (1 - final) (1 - step / total)^power

    When to use it: segmentation with power 0.9, fine-tuning with power 1.

    What goes wrong: it is spread over the whole run, so a run that is stopped early never saw its
    low rates. A power well above 1 spends most of the run at rates too small to move.

    >>> [round(polynomial(step, 4, PolynomialOptions(power=2.0)), 4) for step in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    left = max(0.0, 1 - step / total)
    return options.final + (1 - options.final) * left**options.power
