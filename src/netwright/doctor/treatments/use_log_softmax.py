"""No logarithm of 0."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._guards import EPSILON, guarded
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("use-log-softmax", grade="ask", cures=("nonfinite",))
def use_log_softmax(course: Course, finding: Finding) -> Iterator[Plan]:
    """What goes into a logarithm is held above a small number.

    The module that the finding names is wrapped, or the loss where it names none.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 4.1 (overflow and
    underflow).
    """
    paths = tuple(path for path in finding.layers[:1] if path)
    yield Plan(
        says=Phrase("what goes into logarithms is held above {least:g}", least=EPSILON),
        apply=lambda course: guarded(course, paths, "logarithm"),
    )
