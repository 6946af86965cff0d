"""An optimizer that holds what the model has."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("rebuild-optimizer", grade="safe", cures=("stale-optimizer",))
def rebuild_optimizer(course: Course, finding: Finding) -> Iterator[Plan]:
    """The same optimizer with the same settings, for all that the model trains and no more.

    Source: PyTorch documentation, torch.optim: construct optimizers after the model is complete.
    """
    held = {id(each) for group in course.optimizer.param_groups for each in group["params"]}
    own = {id(each) for each in course.trainable}
    if held != own:
        yield Plan(
            says=Phrase("the optimizer holds {count} parameters more", count=len(own - held)),
            apply=lambda course: course.rebuild_optimizer(),
        )
