"""A smaller learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate, unlike
from netwright.doctor.treatments._measured_rates import curved_rate, range_rate
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

FACTORS = (0.1, 0.3, 0.01, 0.003)

LOWER = 0.7
"""Of the rate there is: what is found nearer to it is no other rate."""


@TREATMENTS.register(
    "lower-rate",
    grade="ask",
    cures=("learning-rate-too-high", "dead-relu", "nonfinite", "oscillating-loss"),
)
def lower_rate(course: Course, finding: Finding) -> Iterator[Plan]:
    """The rate of every group, and what the schedule starts from, brought down.

    To a tenth, to what a range test on a copy suggests, to what the curvature of the loss allows
    plain gradient descent, and to other parts of what it was, until there are four.

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3; LeCun et
    al. 1998, Efficient BackProp, section 4.6.
    """
    rate = course.rate
    if rate <= 0:
        return
    tried = [FACTORS[0] * rate]
    yield at_rate(course, tried[0])
    measured = (range_rate(course, highest=10 * rate), curved_rate(course))
    found = [each for each in measured if each is not None and each < LOWER * rate]
    for each in (*found, *(factor * rate for factor in FACTORS[1:])):
        if len(tried) < len(FACTORS) and unlike(each, tried):
            tried.append(each)
            yield at_rate(course, each)
