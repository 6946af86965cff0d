"""Batches of another size, with what hangs on it."""

from __future__ import annotations

import math

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._schedules import Listed, left, reshape, simulated
from netwright.doctor.trials.course import Course
from netwright.records.findings import amount


def of_batch(course: Course, samples: int, factor: float = 1.0) -> Plan:
    """Batches of so many samples at the rate times `factor`; the epochs stay, and a schedule that
    is stepped with every batch is drawn out or drawn together to end with them."""

    def apply(made: Course) -> None:
        rates = simulated(made) if made.scheduler_every == "step" and made.scheduler else None
        made.train = made.train.of_batch(samples)
        if rates is not None:
            now = [float(each["lr"]) for each in made.optimizer.param_groups]
            steps, first = left(made), now[0] or 1.0
            places = [k * len(rates) // steps for k in range(steps)]
            reshape(made, Listed(tuple(rates[k] / first for k in places)), now)
        made.scale_rates(factor)

    says = Phrase("batches of {samples}", samples=samples)
    if factor != 1.0:
        says = Phrase("batches of {samples}, learning rate {old} -> {new}", samples=samples,
                      old=amount(course.rate), new=amount(factor * course.rate))  # fmt: skip
    return Plan(says=says, apply=apply)


def divisible(course: Course) -> bool:
    """Whether batches can be made anew: data that are read by index, and no step taken yet, for a
    step is another number of samples then."""
    return course.train.unit == 1 and not course.done


def root(times: float) -> float:
    """The factor of the rate for batches so many times as large, by the square-root rule, which
    suits Adam and SGD far from the noise limit (Malladi et al. 2022)."""
    return math.sqrt(times)
