"""A larger learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate, unlike
from netwright.doctor.treatments._measured_rates import curved_rate, range_rate
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

FACTORS = (10.0, 100.0, 1000.0)

HIGHER = 1.5
"""Times the rate there is: what is found nearer to it is no other rate."""


@TREATMENTS.register("higher-rate", grade="ask", cures=("learning-rate-too-low",))
def higher_rate(course: Course, finding: Finding) -> Iterator[Plan]:
    """The rate of every group, and what the schedule starts from, brought up.

    To ten times, to what a range test on a copy suggests, to what the curvature of the loss allows
    plain gradient descent, and to a hundred and a thousand times.

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3.
    """
    rate = course.rate
    if rate <= 0:
        return
    tried = [FACTORS[0] * rate]
    yield at_rate(course, tried[0])
    measured = (range_rate(course, highest=1e5 * rate), curved_rate(course))
    found = [each for each in measured if each is not None and each > HIGHER * rate]
    for each in (*found, *(factor * rate for factor in FACTORS[1:])):
        if len(tried) < 4 and unlike(each, tried):
            tried.append(each)
            yield at_rate(course, each)
