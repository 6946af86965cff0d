"""Longer steps, other steps, or more of them."""

from __future__ import annotations

from collections.abc import Iterator

from torch.optim import Adam

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate
from netwright.doctor.treatments._longer import longer
from netwright.doctor.treatments._measured_rates import range_rate
from netwright.doctor.treatments.adam import RATES, by_adam
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("longer-or-faster", grade="ask", cures=("slow-convergence",))
def longer_or_faster(course: Course, finding: Finding) -> Iterator[Plan]:
    """Ten times the rate, the rate of a range test, Adam at 1e-3, or twice the epochs."""
    rate = course.rate
    if rate > 0:
        yield at_rate(course, 10 * rate)
        found = range_rate(course, highest=1e5 * rate)
        if found is not None and found > 1.5 * rate and not 6 < found / rate < 15:
            yield at_rate(course, found)
    if not isinstance(course.optimizer, Adam):
        yield by_adam(RATES[0])
    yield from longer(course)
