"""One rate for all groups of parameters."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount


@TREATMENTS.register("same-rates", grade="ask", cures=("stale-optimizer", "frozen-parameters"))
def same_rates(course: Course, finding: Finding) -> Iterator[Plan]:
    """Every group at the highest of their rates, or none below a tenth of it."""
    rates = [float(each["lr"]) for each in course.optimizer.param_groups]
    highest = max(rates)
    if highest <= 0 or min(rates) == highest:
        return
    for least in (highest, highest / 10):
        yield Plan(
            says=Phrase("no rate of a group below {rate}", rate=amount(least)),
            apply=lambda made, least=least: _raised(made, least),  # type: ignore[misc]
        )


def _raised(course: Course, least: float) -> None:
    for number, group in enumerate(course.optimizer.param_groups):
        factor = max(1.0, least / group["lr"]) if group["lr"] > 0 else None
        for name in ("lr", "initial_lr", "max_lr"):
            if name in group:
                group[name] = least if factor is None else group[name] * factor
        if course.scheduler is not None and hasattr(course.scheduler, "base_lrs"):
            course.scheduler.base_lrs[number] = group.get("initial_lr", group["lr"])
