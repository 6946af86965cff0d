"""More units where they are too few."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._running import named_layers
from netwright.doctor.treatments._widths import neighbours, resize, widths
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

LEAST = (48, 128)
"""Units that every hidden layer is given at least."""


@TREATMENTS.register("widen", grade="ask", cures=("bottleneck", "too-little-capacity"))
def widen(course: Course, finding: Finding) -> Iterator[Plan]:
    """The narrow layers as wide as their neighbours; then all hidden ones at least so many units.

    All weights are drawn anew. Layers that are added to others, shared, or of somebody's own class
    keep their width.

    Source: Zagoruyko & Komodakis 2016, Wide residual networks, on width as the first thing to try.
    """
    free = widths(course)
    named = [each for each in named_layers(course, finding) if each in free]
    wanted = {each: neighbours(course, each) for each in named}
    wanted = {each: width for each, width in wanted.items() if width > free[each]}
    if wanted:
        yield Plan(
            says=Phrase("{count} layers as wide as their neighbours", count=len(wanted)),
            apply=lambda course: resize(course, wanted),
        )
    for least in LEAST:
        all_of_them = {each: least for each, width in free.items() if width < least}
        if all_of_them:
            yield Plan(
                says=Phrase("at least {count} units in each hidden layer", count=least),
                apply=lambda course, each=all_of_them: resize(course, each),  # type: ignore[misc]
            )
