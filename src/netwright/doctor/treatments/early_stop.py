"""The end where the run was best."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("early-stop", grade="ask", cures=("overfitting",))
def early_stop(course: Course, finding: Finding) -> Iterator[Plan]:
    """The weights of the best mark are kept, and the training ends there.

    It is held against the run that goes on: where that comes no higher, nothing is lost.

    Source: Prechelt 1998, Early stopping - but when?
    """
    if course.done:
        yield Plan(
            says=Phrase("training ended at step {step}, where it was best", step=course.done),
            apply=lambda made: setattr(made, "ends", course.done),
        )
