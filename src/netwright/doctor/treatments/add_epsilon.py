"""No division by 0, and no slope of a root at 0."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._guards import EPSILON, guarded
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("add-epsilon", grade="ask", cures=("nonfinite",))
def add_epsilon(course: Course, finding: Finding) -> Iterator[Plan]:
    """Denominators and roots are held a small number away from 0.

    A broken power of a number below 0 is that of its size, with its sign.
    The module that the finding names is wrapped, or the loss where it names none.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 4.1 (overflow and
    underflow).
    """
    paths = tuple(path for path in finding.layers[:1] if path)
    yield Plan(
        says=Phrase("denominators are held {least:g} away from 0, roots above it", least=EPSILON),
        apply=lambda course: guarded(course, paths, "quotient"),
    )
