"""Targets of the type that the loss takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers, cost
from netwright.doctor.treatments._rows import Cast, Squeezed
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.feed import Change
from netwright.records.findings import Finding


@TREATMENTS.register("cast-target", grade="ask", cures=("label-dtype",))
def cast_target(course: Course, finding: Finding) -> Iterator[Plan]:
    """The first change of type or shape with which the loss can be computed.

    Whole class numbers as int64, one-hot rows as class numbers, an axis of size 1 taken away, or
    numbers in the precision of the output; in training and validation alike.

    Source: the documentation of torch.nn.CrossEntropyLoss.
    """
    found = answers(course)
    if found is None:
        return
    output, target = found.output, found.target
    if cost(course.loss, output, target) is not None and target.dtype != torch.int16:
        return
    whole = not target.is_floating_point() or bool((target == target.round()).all())
    ways: list[tuple[Phrase, tuple[Change, ...]]] = []
    number = Phrase("targets of type {type}", type="int64")
    if target.shape == output.shape and target.ndim > 1:
        ways.append((Phrase("class numbers in the place of rows"), (Cast(torch.int64, True),)))
    if whole:
        ways.append((number, (Cast(torch.int64),)))
        for axis in (1, -1):
            if target.ndim > 1 and target.shape[axis] == 1:
                ways.append((number, (Squeezed(axis), Cast(torch.int64))))
    ways.append((Phrase("targets of type {type}", type=str(output.dtype).removeprefix("torch.")),
                 (Cast(output.dtype),)))  # fmt: skip
    for says, changes in ways:
        changed = target
        for change in changes:
            changed = change(found.inputs, changed)[1]
        if cost(course.loss, output, changed) is not None:
            yield Plan(
                says=says,
                apply=lambda course, changes=changes: _apply(course, changes),  # type: ignore[misc]
            )
            return


def _apply(course: Course, changes: tuple[Change, ...]) -> None:
    for change in changes:
        course.train, course.val = course.train.changed(change), course.val.changed(change)
