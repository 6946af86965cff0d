"""No exponential that overflows."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._guards import HIGHEST, guarded
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("bound-exponent", grade="ask", cures=("nonfinite",))
def bound_exponent(course: Course, finding: Finding) -> Iterator[Plan]:
    """What goes into an exponential is bounded from above.

    The module that the finding names is wrapped, or the loss where it names none.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 4.1 (overflow and
    underflow).
    """
    paths = tuple(path for path in finding.layers[:1] if path)
    yield Plan(
        says=Phrase("what goes into exponentials is at most {least:g}", least=HIGHEST),
        apply=lambda course: guarded(course, paths, "exponent"),
    )
