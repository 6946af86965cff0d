"""Training inputs through the transform that validation goes through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._foretelling import foretells_less, foretold
from netwright.doctor.treatments._layers import Standardise
from netwright.doctor.treatments._rows import axes, in_front, sample
from netwright.doctor.treatments._transforms import (
    TURNS,
    Reordered,
    Scaled,
    Turned,
    distance,
    moved,
    remapped,
    scaled_by_mean_images,
    scaled_by_moments,
)
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.feed import Change
from netwright.records.findings import Finding

NEARER = 0.9
"""Of the distance between the sets as they are, that a transform has to leave less of."""

MOST = 4

Changes: TypeAlias = tuple[Change, ...]
"""Made one after the other."""

SAID = {
    "transposed": Phrase("transposed"),
    "flipped left to right": Phrase("flipped left to right"),
    "upside down": Phrase("upside down"),
    "turned by 90 degrees": Phrase("turned by 90 degrees"),
    "turned by 180 degrees": Phrase("turned by 180 degrees"),
    "turned by 270 degrees": Phrase("turned by 270 degrees"),
    "transposed the other way": Phrase("transposed the other way"),
}


@TREATMENTS.register(
    "one-transform", grade="ask", cures=("inconsistent-preprocessing", "distribution-shift")
)
def one_transform(course: Course, finding: Finding) -> Iterator[Plan]:
    """Training inputs changed until they look like those of validation: what judges is as it was.

    Flips and turns, the order of columns that was found, a line through the mean images, mean and
    spread of each feature, and a curve through the quantiles of each are tried; those that bring
    the means and spreads of all places nearest come first, the race decides. A move of images is
    found by their means. What the neighbours foretell of validation must not get worse:
    where training is a part of the world alone, stretching it over the whole makes it false.

    Source: none: moments and quantiles matched; Gonzalez & Woods 2018, Digital image processing,
    section 3.3 (histogram matching).
    """
    inputs, target = sample(course.train)
    wanted, truth = sample(course.val)
    if not inputs.is_floating_point() or inputs.shape[1:] != wanted.shape[1:] or inputs.ndim < 2:
        return
    order = _order(finding)
    if order:
        yield Plan(
            says=Phrase("training columns in the order of validation"),
            apply=lambda course: _changed(course, Reordered(order)),
        )
        return
    found: list[tuple[float, Phrase, Changes]] = []
    stands, known = distance(inputs, wanted), foretold((inputs, target), (wanted, truth))
    for says, changes in _changes(inputs, wanted):
        made = _of(changes, inputs, target)
        if made.shape != inputs.shape or not bool(made.isfinite().all()):
            continue
        apart = distance(made, wanted)
        if apart >= NEARER * stands:
            continue
        if not foretells_less(foretold((made, target), (wanted, truth)), known):
            found.append((apart, says, changes))
    for _, says, changes in sorted(found, key=lambda each: each[0])[:MOST]:
        yield Plan(
            says=Phrase("training inputs as those of validation: {how}", how=says),
            apply=lambda course, changes=changes: _changed(course, *changes),  # type: ignore[misc]
        )


def _changes(inputs: Tensor, wanted: Tensor) -> Iterator[tuple[Phrase, Changes]]:
    line = scaled_by_mean_images(inputs, wanted)
    if line is not None:
        yield _said(line), (line,)
    yield Phrase("their means and spreads"), (scaled_by_moments(inputs, wanted, axes(inputs)),)
    yield Phrase("their quantiles"), (remapped(inputs, wanted),)
    if inputs.ndim == 4 and inputs.shape[-1] == inputs.shape[-2]:
        for how in TURNS:
            yield SAID[how], (Turned(how),)
    if inputs.ndim == 3:
        yield Phrase("read backwards"), (Turned("backwards"),)
    move = moved(inputs, wanted) if inputs.ndim == 4 else None
    if move is not None:
        there = Phrase("moved by {down} down and {right} to the right",
                       down=move.down, right=move.right)  # fmt: skip
        yield there, (move,)
        line = scaled_by_mean_images(move.of(inputs), wanted)
        if line is not None:
            yield Phrase("{first}; {second}", first=there, second=_said(line)), (move, line)


def _said(line: Scaled) -> Phrase:
    return Phrase("{scale:.3g} times x, plus {shift:.3g}",
                  scale=float(line.scale), shift=float(line.shift))  # fmt: skip


def _of(changes: Changes, inputs: Tensor, target: Tensor) -> Tensor:
    for each in changes:
        inputs, target = each(inputs, target)
    return inputs


def _changed(course: Course, *changes: Change) -> None:
    """A scale is undone by a first layer, so that the network learns on what it had before, and
    takes in use what validation is like."""
    for change in changes:
        course.train = course.train.changed(change)
        if isinstance(change, Scaled):
            in_front(course, Standardise(change.shift, change.scale))


def _order(finding: Finding) -> tuple[int, ...]:
    """The place in training of each column of validation, of the code that is proposed: columns
    `val_x[:, order]` stand as those of training do."""
    told = re.search(r"val_x\[:, \[([\d, ]+)\]\]", " ".join(t.code for t in finding.treatments))
    if told is None:
        return ()
    order = [int(each) for each in told.group(1).split(",")]
    return tuple(order.index(place) for place in range(len(order)))
