"""More steps of fewer samples."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._batches import divisible, of_batch, root
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

SMALLEST = 16


@TREATMENTS.register("smaller-batch", grade="ask", cures=("wasteful-batch",))
def smaller_batch(course: Course, finding: Finding) -> Iterator[Plan]:
    """A quarter of the batch, at the same rate, and at half of it.

    Source: McCandlish et al. 2018, An empirical model of large-batch training, section 2.2.
    """
    samples = course.train.batch // 4
    if divisible(course) and samples >= SMALLEST:
        yield of_batch(course, samples)
        yield of_batch(course, samples, root(1 / 4))
