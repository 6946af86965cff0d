"""Values that are not finite kept out of the batches."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._filling import filling
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("clean-data", grade="ask", cures=("nonfinite",))
def clean_data(course: Course, finding: Finding) -> Iterator[Plan]:
    """What is missing is filled in by a first layer, or the samples are left out.

    Source: Little & Rubin 2019, Statistical analysis with missing data, chapters 3 and 4.
    """
    yield from filling(course)
