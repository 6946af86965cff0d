"""A larger epsilon in the quotient of Adam and its kin."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

EPSILONS = (1e-4, 1e-2)


@TREATMENTS.register("larger-eps", grade="ask", cures=("nonfinite",))
def larger_eps(course: Course, finding: Finding) -> Iterator[Plan]:
    """eps of 1e-4 and 1e-2: 1e-8 is 0 in half precision, and what is divided by it is infinite."""
    now = [float(each["eps"]) for each in course.optimizer.param_groups if "eps" in each]
    for eps in EPSILONS:
        if now and max(now) < eps:
            yield Plan(
                says=Phrase("eps {eps}", eps=amount(eps)),
                apply=lambda made, eps=eps: made.set_in_groups(eps=eps),  # type: ignore[misc]
            )
