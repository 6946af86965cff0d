"""A way for the gradient that does not fade."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._norming import normed_start, norms_fit
from netwright.doctor.treatments._residual import residual_round, residuals_fit
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register(
    "norm-or-residual",
    grade="ask",
    cures=("vanishing-gradients", "weights-too-small", "weights-too-large", "underfitting"),
)
def norm_or_residual(course: Course, finding: Finding) -> Iterator[Plan]:
    """Batch normalisation behind the hidden layers, or the input of each added to its output.

    Source: Ioffe & Szegedy 2015, Batch normalization; He et al. 2016, Deep residual learning.
    """
    if norms_fit(course):
        yield Plan(says=Phrase("batch normalisation behind the hidden layers"), apply=normed_start)
    if residuals_fit(course):
        yield Plan(
            says=Phrase("residual connections round the hidden layers"), apply=residual_round
        )
