"""Another optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from torch.optim import SGD, Adam

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

RATES = (1e-3, 1e-2)


@TREATMENTS.register("adam", grade="ask", cures=("weak-optimizer",))
def adam(course: Course, finding: Finding) -> Iterator[Plan]:
    """Adam at 1e-3 or 1e-2 in the place of the optimizer, or momentum of 0.9 for SGD without.

    Source: Kingma & Ba 2015, Adam, section 2; Sutskever et al. 2013, On the importance of
    initialization and momentum in deep learning.
    """
    if type(course.optimizer) is not Adam:
        for rate in RATES:
            yield by_adam(rate)
    if type(course.optimizer) is SGD and not course.optimizer.param_groups[0]["momentum"]:
        yield Plan(says=Phrase("momentum 0.9"), apply=lambda made: made.set_in_groups(momentum=0.9))


def by_adam(rate: float) -> Plan:
    """Adam at one rate, with the decay that there was."""

    def apply(course: Course) -> None:
        decay = float(course.optimizer.param_groups[0].get("weight_decay", 0.0))
        course.replace_optimizer(Adam, lr=rate, weight_decay=decay)

    return Plan(says=Phrase("Adam at {rate}", rate=amount(rate)), apply=apply)
