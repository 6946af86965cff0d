"""A smaller network."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._widths import resize, widths
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

PARTS = (4, 16)

LEAST = 4
"""Units that a layer keeps."""


@TREATMENTS.register("narrow", grade="ask", cures=("too-much-capacity",))
def narrow(course: Course, finding: Finding) -> Iterator[Plan]:
    """Every hidden layer of a quarter of its units, or of a sixteenth; all weights drawn anew.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 5.2.
    """
    free = widths(course)
    for part in PARTS:
        wanted = {e: max(LEAST, width // part) for e, width in free.items() if width > LEAST}
        if wanted:
            yield Plan(
                says=Phrase("hidden layers of 1/{part} of their units", part=part),
                apply=lambda course, wanted=wanted: resize(course, wanted),  # type: ignore[misc]
            )
