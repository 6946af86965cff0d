"""A limit on the gradient that leaves something of it."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.treatments.clip import limited
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("raise-limit", grade="ask", cures=("clipping-every-step",))
def raise_limit(course: Course, finding: Finding) -> Iterator[Plan]:
    """The limit at the usual length of a gradient, or none."""
    if course.clip is None:
        return
    usual = usual_norm(course)
    if usual is not None and usual > course.clip:
        yield limited(usual)
    yield limited(None)
