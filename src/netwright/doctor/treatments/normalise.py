"""Norms that hold the scale of a layer."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._norming import norm_behind, norms_fit
from netwright.doctor.treatments._running import named_layers
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("normalise", grade="ask", cures=("internal-drift",))
def normalise(course: Course, finding: Finding) -> Iterator[Plan]:
    """Batch normalisation behind the layers that drift, or all hidden ones; layer normalisation.

    Source: Ioffe & Szegedy 2015, Batch normalization; Ba, Kiros & Hinton 2016, Layer normalization.
    """
    named = named_layers(course, finding)
    if named and norms_fit(course, named):
        yield Plan(
            says=Phrase("batch normalisation behind {count} layers", count=len(named)),
            apply=lambda course: norm_behind(course, paths=named),
        )
    if norms_fit(course):
        yield Plan(says=Phrase("batch normalisation behind the hidden layers"), apply=norm_behind)
        yield Plan(
            says=Phrase("layer normalisation behind the hidden layers"),
            apply=lambda course: norm_behind(course, "layer"),
        )
