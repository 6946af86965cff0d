"""Squashing activations fed within their range."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._drawing import draw, draw_by_data
from netwright.doctor.treatments._norming import normed_start, norms_fit
from netwright.doctor.treatments._running import with_weights
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("match-scale", grade="ask", cures=("saturated-units",))
def match_scale(course: Course, finding: Finding) -> Iterator[Plan]:
    """Weights to match the activations; the same scaled by a batch; norms before the activations.

    Source: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural
    networks; Mishkin & Matas 2016; Ioffe & Szegedy 2015.
    """
    if next(with_weights(course.model), None) is None:
        return
    yield Plan(says=Phrase("all weights drawn anew, to match the activations"), apply=draw)
    yield Plan(
        says=Phrase("all weights drawn anew and scaled by a batch (LSUV)"), apply=draw_by_data
    )
    if norms_fit(course):
        yield Plan(says=Phrase("batch normalisation behind the hidden layers"), apply=normed_start)
