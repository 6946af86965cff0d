"""Weight decay on maps alone."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("parameter-groups", grade="safe", cures=("decay-on-norm-and-bias",))
def parameter_groups(course: Course, finding: Finding) -> Iterator[Plan]:
    """Parameters of fewer than two axes go to groups of their own without decay.

    They are biases and scales of norms. Rates and moments stay.

    Source: Goyal et al. 2017, section 5.3; He et al. 2019, Bag of tricks, section 3.1.
    """
    groups = course.optimizer.param_groups
    count = sum(
        each.ndim < 2 for group in groups if group.get("weight_decay") for each in group["params"]
    )
    if count:
        yield Plan(
            says=Phrase("no weight decay on {count} biases and scales", count=count), apply=_part
        )


def _part(course: Course) -> None:
    for group in list(course.optimizer.param_groups):
        flat = [each for each in group["params"] if each.ndim < 2]
        if not group.get("weight_decay") or not flat:
            continue
        if len(flat) == len(group["params"]):
            group["weight_decay"] = 0.0
            continue
        group["params"] = [each for each in group["params"] if each.ndim >= 2]
        settings = {name: each for name, each in group.items() if name != "params"}
        course.add_group(flat, **{**settings, "weight_decay": 0.0})
