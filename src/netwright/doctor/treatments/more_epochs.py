"""A longer training."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._longer import falling, longer
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("more-epochs", grade="ask", cures=("stopped-early",))
def more_epochs(course: Course, finding: Finding) -> Iterator[Plan]:
    """As many epochs again, at the rate there is, or at one that falls to the end.

    What is there at the end of the shorter training is what the longer one is held against: it
    goes on from there, and the other stands.
    """
    yield from longer(course)
    yield from falling(course)
