"""Filters in the place of those that are copies."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import named_layers, with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("draw-anew", grade="ask", cures=("duplicate-filters",))
def draw_anew(course: Course, finding: Finding) -> Iterator[Plan]:
    """The layers with copies in them drawn at random; then all of the network.

    Copies come from a start that was alike, so it is at the start that they are parted.
    """
    named = named_layers(course, finding)
    if not named:
        return
    yield Plan(
        says=Phrase("the weights of {count} layers drawn anew", count=len(named)),
        apply=lambda course: draw(course, named),
    )
    if len(list(with_weights(course.model, named))) < len(list(with_weights(course.model))):
        yield Plan(
            says=Phrase("all weights drawn anew, to match the activations"),
            apply=draw,
        )
