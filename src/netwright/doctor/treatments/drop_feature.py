"""Features that never varied are left out."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._layers import Kept
from netwright.doctor.treatments._rows import axes, in_front, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("drop-feature", grade="ask", cures=("dead-feature",))
def drop_feature(course: Course, finding: Finding) -> Iterator[Plan]:
    """A first layer sets to 0 what has one value in all of the training data.

    Its weights were never trained: in use, where the feature may have other values, they would
    add what was drawn at the start.

    Source: Kuhn & Johnson 2013, Applied predictive modeling, section 3.5.
    """
    inputs, _ = sample(course.train)
    if not inputs.is_floating_point() or inputs.ndim < 2:
        return
    over = axes(inputs)
    kept = inputs.amax(over, keepdim=True)[0] != inputs.amin(over, keepdim=True)[0]
    if bool(kept.all()) or not bool(kept.any()):
        return
    yield Plan(
        says=Phrase("{dead} of {features} features, which never vary, are set to 0",
                    dead=int((~kept).sum()), features=kept.numel()),
        apply=lambda course: in_front(course, Kept(kept)),
    )  # fmt: skip
