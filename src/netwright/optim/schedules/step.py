"""The rate falls in steps: multiplied by the same number at each milestone."""

from __future__ import annotations

from netwright.core.config import config, setting, show
from netwright.core.errors import SettingError
from netwright.optim.schedules import SCHEDULES, ScheduleCommon


@config
class StepOptions(ScheduleCommon):
    """Where it falls, and how far. Places are shares of the run, so that a longer one falls later.

    Half and three quarters are those of He et al. 2015 (32,000 and 48,000 of 64,000 steps).
    """

    milestones: tuple[float, ...] = setting(
        (0.5, 0.75), help="shares of the run, each between 0 and 1, after which the rate falls"
    )
    every: float | None = setting(
        None, gt=0, le=1, help="instead of milestones: falls after each such share of the run"
    )
    gamma: float = setting(0.1, gt=0, le=1, help="what the rate is multiplied by")


@SCHEDULES.register(
    "step",
    options=StepOptions,
    paper="He, Zhang, Ren & Sun 2015, Deep residual learning for image recognition, sec. 4.2",
)
def step(step: int, total: int, options: StepOptions) -> float:
    """Multiplied by `gamma` at each milestone, or after every `every` of the run.

        factor = gamma^(number of milestones passed)

    Raises `SettingError` for a milestone outside the run.

    When to use it: to repeat a paper that says so (ResNet on CIFAR: a tenth at a half and at three
    quarters), or where the loss of a stage is to be read before the next.

    What goes wrong: two or three numbers have to be chosen where `cosine` has none. A fall too
    early looks like a success, for the loss drops at once, and leaves the weights short of where
    the high rate would have brought them. Milestones are shares of the run here, epochs in papers.

    >>> [round(step(number, 8, StepOptions()), 3) for number in (0, 3, 4, 6, 7)]
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    # A millionth of a step forgives 0.1 * 30 = 3.0000000000000004.
    done = step + 1e-6
    if options.every is not None:
        falls = int(done / (options.every * total))
    else:
        if not all(0 < place < 1 for place in options.milestones):
            raise SettingError(
                "sched.milestones: {places} is not allowed: expected shares of the run, "
                "each above 0 and below 1.",
                hint="In a run of 90 epochs [0.33, 0.67] are the epochs 30 and 60.",
                places=show(options.milestones),
            )
        falls = sum(done >= place * total for place in options.milestones)
    return options.gamma**falls
