"""Class numbers from 0 on."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers
from netwright.doctor.treatments._rows import Shifted, read_as_two, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("shift-labels", grade="ask", cures=("labels-shifted", "labels-out-of-range"))
def shift_labels(course: Course, finding: Finding) -> Iterator[Plan]:
    """The least label becomes 0, in training and validation, where there are outputs for all then.

    The two values of a binary loss become 0 and 1.

    Source: the documentation of torch.nn.CrossEntropyLoss: labels lie in [0, C).
    """
    found = answers(course)
    if found is None:
        return
    _, target = sample(course.train, 100_000)
    low, high = float(target.min()), float(target.max())
    if target.is_floating_point() and target.shape[1:] == found.output.shape[1:]:
        if len(target.unique()[:3]) == 2 and (low, high) != (0, 1):
            yield Plan(
                says=Phrase("targets {low:g} and {high:g} read as 0 and 1", low=low, high=high),
                apply=lambda course: read_as_two(course, low, high),
            )
        return
    classes = found.output.shape[1] if found.output.ndim > 1 else 1
    if not float(low).is_integer() or low == 0 or not low < high < classes + low:
        return
    by = -int(low)
    yield Plan(
        says=Phrase("{by:+d} to every label", by=by), apply=lambda course: _shifted(course, by)
    )


def _shifted(course: Course, by: int) -> None:
    course.train, course.val = course.train.changed(Shifted(by)), course.val.changed(Shifted(by))
