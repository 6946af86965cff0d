"""Groups of parameters at one rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount


@TREATMENTS.register("same-rates", grade="ask", cures=("stale-optimizer", "frozen-parameters"))
def same_rates(course: Course, finding: Finding) -> Iterator[Plan]:
    """Every group at the rate of the fastest; then at that of the one with most parameters."""
    groups = [each for each in course.optimizer.param_groups if each["params"]]
    rates = [_rate(each) for each in groups]
    if len(set(rates)) < 2:
        return
    most = max(groups, key=lambda each: sum(p.numel() for p in each["params"]))
    for rate in dict.fromkeys((max(rates), _rate(most))):
        if rate > 0:
            yield Plan(
                says=Phrase("learning rate {rate} in every group", rate=amount(rate)),
                apply=lambda course, rate=rate: _set(course, rate),  # type: ignore[misc]
            )


def _rate(group: dict[str, float]) -> float:
    return float(group.get("initial_lr", group["lr"]))


def _set(course: Course, rate: float) -> None:
    """What the schedule starts from, and the rate in the same proportion to it as it stands."""
    groups = course.optimizer.param_groups
    shares = [float(g["lr"]) / _rate(g) for g in groups if _rate(g) > 0]
    share = max(shares, default=1.0)
    for group in groups:
        group["lr"] = share * rate
        if "initial_lr" in group:
            group["initial_lr"] = rate
    course.sync_schedule()
