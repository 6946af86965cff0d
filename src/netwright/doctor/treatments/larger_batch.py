"""Gradients of more samples."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate
from netwright.doctor.treatments._batches import divisible, of_batch, root
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

TIMES, LEAST = 4, 32


@TREATMENTS.register(
    "larger-batch", grade="ask", cures=("noisy-gradients", "batchnorm-small-batch")
)
def larger_batch(course: Course, finding: Finding) -> Iterator[Plan]:
    """Batches four times as large, or a tenth of the rate, which averages over time.

    Batches are of 32 at least; at the same rate, and at one that grows with the root of the size.

    Source: McCandlish et al. 2018, An empirical model of large-batch training, section 2.2.
    """
    feed = course.train
    samples = min(max(TIMES * feed.batch, LEAST), len(feed.rows))
    if divisible(course) and samples > feed.batch:
        yield of_batch(course, samples)
        yield of_batch(course, samples, root(samples / feed.batch))
    if finding.name == "noisy-gradients" and course.rate > 0:
        yield at_rate(course, course.rate / 10)
