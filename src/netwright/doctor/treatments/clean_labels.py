"""Training without the samples whose labels are suspect."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._meanings import meanings
from netwright.doctor.treatments._rows import keeping
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MOST = 0.7
"""Share of suspects above which the labels say nothing, and nothing is left out."""


@TREATMENTS.register("clean-labels", grade="ask", cures=("memorised-noise", "label-noise"))
def clean_labels(course: Course, finding: Finding) -> Iterator[Plan]:
    """Samples whose label is not that of most of their ten nearest neighbours are left out.

    Where labels are wrong by chance the vote of neighbours is right far more often than a label
    is. What is left out are suspects and no more: their rows are for a person to look at.

    Source: Wilson 1972, Asymptotic properties of nearest neighbor rules using edited data;
    Frénay & Verleysen 2014, Classification in the presence of label noise, section III-C.
    """
    found = meanings(course)
    if found is None:
        return
    suspects = found.suspects()
    if not 0 < sum(suspects) <= MOST * len(suspects):
        return
    shown = ", ".join(
        str(course.train.rows[at]) for at, suspect in enumerate(suspects) if suspect
    ).split(", ")[:8]
    yield Plan(
        says=Phrase("{count} training samples with suspect labels left out: {rows}",
                    count=sum(suspects),
                    rows=", ".join(shown) + (", ..." if sum(suspects) > len(shown) else "")),
        apply=lambda course: _left_out(course, suspects),
    )  # fmt: skip


def _left_out(course: Course, suspects: list[bool]) -> None:
    course.train = keeping(course.train, [not each for each in suspects])
