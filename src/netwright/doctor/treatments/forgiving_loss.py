"""A loss that forgives wrong labels."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._forgiving import forgiving
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("forgiving-loss", grade="ask", cures=("label-noise",))
def forgiving_loss(course: Course, finding: Finding) -> Iterator[Plan]:
    """Generalised cross-entropy, smoothed labels, or of numbers a loss that grows more slowly.

    Source: Zhang & Sabuncu 2018, Generalized cross entropy loss for training deep neural networks
    with noisy labels; Szegedy et al. 2016, section 7.
    """
    yield from forgiving(course)
