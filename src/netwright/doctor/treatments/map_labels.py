"""Labels by one numbering, and an output for each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers
from netwright.doctor.treatments._meanings import meanings
from netwright.doctor.treatments._rows import Renamed, WithinClasses, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MOST = 1000
"""Classes that a head is widened to."""


@TREATMENTS.register(
    "map-labels", grade="ask", cures=("labels-inconsistent", "labels-out-of-range")
)
def map_labels(course: Course, finding: Finding) -> Iterator[Plan]:
    """Training labels by the numbering of validation; or an output more, or samples left out.

    The mapping is the one-to-one one under which most training samples have the label of their
    nearest in validation: what judges says what a number means. Of labels beyond the outputs
    either the head gets an output for each, drawn as the others were, or the samples are left out
    of training, where validation has none of them: else it would be judged by the rest alone.

    Source: Kuhn 1955, The Hungarian method for the assignment problem.
    """
    if finding.name == "labels-inconsistent":
        found = meanings(course)
        names = found.names() if found is not None else ()
        if names and names != tuple(range(len(names))):
            moved = ", ".join(f"{k}->{name}" for k, name in enumerate(names) if k != name)
            yield Plan(
                says=Phrase("labels of training by the numbering of validation: {moved}",
                            moved=moved),
                apply=lambda course: _renamed(course, names),
            )  # fmt: skip
        return
    given = answers(course)
    if given is None or given.output.ndim < 2:
        return
    _, target = sample(course.train, 100_000)
    if target.is_floating_point() or target.shape[1:] != given.output.shape[2:]:
        return
    room, low, high = given.output.shape[1], int(target.min()), int(target.max())
    head = given.last.path if given.last is not None else ""
    wide = isinstance(course.model.get_submodule(head), nn.Linear | nn.Conv2d) if head else False
    if room <= high < min(2 * room, MOST) and low >= 0 and wide:
        yield Plan(
            says=Phrase("{outputs} outputs in the place of {room}", outputs=high + 1, room=room),
            apply=lambda course: _widened(course, head, high + 1),
        )
        return
    judged = sample(course.val, 100_000)[1]
    fits = int(judged.min()) >= 0 and int(judged.max()) < room  # what judges has to stay
    if fits and (low < 0 or high >= room):
        yield Plan(
            says=Phrase("samples whose label has no output are left out"),
            apply=lambda course: _left_out(course, room),
        )


def _renamed(course: Course, names: tuple[int, ...]) -> None:
    course.train = course.train.changed(Renamed(names))


def _left_out(course: Course, room: int) -> None:
    course.train = course.train.changed(WithinClasses(room))


def _widened(course: Course, path: str, outputs: int) -> None:
    """The head as it is, with outputs more."""
    old = course.model.get_submodule(path)
    bias = old.bias is not None
    if isinstance(old, nn.Linear):
        new: nn.Linear | nn.Conv2d = nn.Linear(old.in_features, outputs, bias=bias)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(
            old.in_channels, outputs, old.kernel_size, old.stride, old.padding,  # type: ignore[arg-type]
            old.dilation, bias=bias,  # type: ignore[arg-type]
        )  # fmt: skip
    with torch.no_grad():
        new.weight[: len(old.weight)] = old.weight
        if old.bias is not None and new.bias is not None:
            new.bias[: len(old.bias)] = old.bias
    course.replace_modules({path: new})
