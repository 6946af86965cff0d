"""A start from which gradients do not grow."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw, draw_by_data
from netwright.doctor.treatments._norming import normed_start, norms_fit
from netwright.doctor.treatments._running import with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("start", grade="ask", cures=("exploding-gradients",))
def start(course: Course, finding: Finding) -> Iterator[Plan]:
    """Weights drawn to match the activations; scaled by a batch; norms behind the hidden layers.

    A batch knows of branches that add up. Where the start was wrong this beats clipping, which
    only makes the steps short.

    Source: He et al. 2015; Mishkin & Matas 2016; Ioffe & Szegedy 2015.
    """
    if next(with_weights(course.model), None) is None:
        return
    yield Plan(
        says=Phrase("all weights drawn anew and scaled by a batch (LSUV)"), apply=draw_by_data
    )
    yield Plan(says=Phrase("all weights drawn anew, to match the activations"), apply=draw)
    if norms_fit(course):
        yield Plan(says=Phrase("batch normalisation behind the hidden layers"), apply=normed_start)
