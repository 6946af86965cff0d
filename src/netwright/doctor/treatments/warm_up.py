"""A rate that grows over the first steps."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.treatments._schedules import Listed, left, reshape, simulated
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

SHARE = 0.1
"""Of the steps that are left."""


@TREATMENTS.register("warm-up", grade="ask", cures=("learning-rate-too-high", "dead-relu"))
def warm_up(course: Course, finding: Finding) -> Iterator[Plan]:
    """The rate rises in a line over the first tenth of the steps, then goes on as it did.

    Alone, and with gradients clipped at their usual length.

    Source: Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2.
    """
    rates = simulated(course)
    if rates is None or max(rates) <= 0:
        return
    steps = max(1, round(SHARE * left(course)))
    risen = [each * min(1.0, (k + 1) / (steps + 1)) for k, each in enumerate(rates)]

    def apply(made: Course, limit: float | None = None) -> None:
        now = [float(each["lr"]) for each in made.optimizer.param_groups]
        reshape(made, Listed(tuple(each / (now[0] or 1.0) for each in risen)), now)
        made.clip = limit if limit is not None else made.clip

    yield Plan(says=Phrase("rate that rises over {steps} steps", steps=steps), apply=apply)
    usual = usual_norm(course)
    if usual is not None:
        yield Plan(
            says=Phrase("rate that rises over {steps} steps, gradients clipped at the norm {limit}",
                        steps=steps, limit=amount(usual)),
            apply=lambda made: apply(made, usual),
        )  # fmt: skip
