"""What was frozen learns."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._running import named_layers
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("unfreeze", grade="ask", cures=("frozen-parameters",))
def unfreeze(course: Course, finding: Finding) -> Iterator[Plan]:
    """The layers that the finding names are trained, or all; the optimizer takes them in.

    Groups whose rate is 0 get that of the others.
    """
    still = [each for each in course.model.parameters() if not each.requires_grad]
    if not still and not _at_zero(course):
        return
    named = named_layers(course, finding)
    modules = dict(course.model.named_modules())
    part = {id(p) for path in named for p in modules[path].parameters() if not p.requires_grad}
    if part and len(part) < len(still):
        yield Plan(
            says=Phrase("{count} layers trained too", count=len(named)),
            apply=lambda course: _thaw(course, named),
        )
    yield Plan(says=Phrase("all parameters trained"), apply=lambda course: _thaw(course, [""]))


def _thaw(course: Course, paths: list[str]) -> None:
    for path in paths:
        module: nn.Module = course.model.get_submodule(path)
        for each in module.parameters():
            if each.is_floating_point():
                each.requires_grad_(True)
    course.sync_optimizer()
    rate = course.rate
    for group in _at_zero(course):
        group["lr"] = rate
        if "initial_lr" in group:
            group["initial_lr"] = max(g["initial_lr"] for g in course.optimizer.param_groups)
    course.sync_schedule()


def _at_zero(course: Course) -> list[dict[str, object]]:
    groups = course.optimizer.param_groups
    if course.rate <= 0:
        return []
    # A rate of zero under a warm-up is no freeze: what the schedule starts from tells.
    return [g for g in groups if g["params"] and g.get("initial_lr", g.get("lr")) == 0]
