"""A start that keeps the signal."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw, draw_by_data
from netwright.doctor.treatments._running import named_layers, with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register(
    "matched-initialiser",
    grade="safe",
    cures=("dead-at-start", "weights-too-large", "weights-too-small", "saturated-at-start"),
)
def matched_initialiser(course: Course, finding: Finding) -> Iterator[Plan]:
    """Weights drawn to match the activation behind each layer, biases zero.

    All layers first, for where one is wrong its neighbours mostly are too; then the named ones
    alone, which spares what was trained before; then LSUV, which measures the size and needs to
    know no activation.

    Source: He et al. 2015, Delving deep into rectifiers; Mishkin & Matas 2016, All you need is a
    good init.
    """
    every = list(with_weights(course.model))
    if not every:
        return
    yield Plan(
        says=Phrase("all weights drawn anew, to match the activations"),
        apply=draw,
    )
    named = named_layers(course, finding)
    if named and len(list(with_weights(course.model, named))) < len(every):
        yield Plan(
            says=Phrase("the weights of {count} layers drawn anew", count=len(named)),
            apply=lambda course: draw(course, named),
        )
    yield Plan(
        says=Phrase("all weights drawn anew and scaled by a batch (LSUV)"),
        apply=draw_by_data,
    )
