"""Missing values filled in."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._filling import filling
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("impute", grade="ask", cures=("nonfinite-input",))
def impute(course: Course, finding: Finding) -> Iterator[Plan]:
    """The median of the feature for what is missing, its ends for infinities, by a first layer.

    The layer goes with the model, which then takes such samples in use as well. Samples whose
    target is not finite are left out, and others where they are few.

    Source: Little & Rubin 2019, Statistical analysis with missing data, chapter 4.
    """
    yield from filling(course)
