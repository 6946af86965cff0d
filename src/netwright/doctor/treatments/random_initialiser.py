"""Units that begin apart."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import named_layers, with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("random-initialiser", grade="safe", cures=("symmetric-initialisation",))
def random_initialiser(course: Course, finding: Finding) -> Iterator[Plan]:
    """The layers whose units are alike drawn at random, of the size that their activation wants.

    Source: Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4; He et al. 2015.
    """
    named = named_layers(course, finding)
    every = len(list(with_weights(course.model)))
    if not every:
        return
    if len(list(with_weights(course.model, named))) < every:
        yield Plan(
            says=Phrase("the weights of {count} layers drawn anew", count=len(named)),
            apply=lambda course: draw(course, named),
        )
    yield Plan(
        says=Phrase("all weights drawn anew, to match the activations"),
        apply=draw,
    )
