"""How common each class is among the training targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.doctor.treatments._answers import Answers
from netwright.doctor.treatments._rows import sample
from netwright.doctor.trials.course import Course


@dataclass(frozen=True, eq=False)
class Shares:
    """`share` has a number a class, (C,) ; of yes and no that of no and that of yes. A class that
    never came counts as having come once."""

    share: Tensor
    binary: bool


def shares(course: Course, found: Answers) -> Shares | None:
    """None where targets are no classes: class numbers for outputs (N, C, ...), one-hot rows, or
    targets of 0 and 1 for one output."""
    _, target = sample(course.train, 100_000)
    output = found.output
    classes = output.shape[1] if output.ndim > 1 else 1
    if target.shape[1:] == output.shape[1:] and target.is_floating_point():
        if not bool(((target == 0) | (target == 1)).all()):
            return None
        if classes > 1:
            hot = bool((target.sum(1) == 1).all())
            return _of(target.argmax(1), classes, binary=False) if hot else None
        return _of(target.long(), 2, binary=True)
    whole = not target.is_floating_point() or bool((target == target.round()).all())
    if not whole or classes < 2 or target.shape[1:] != output.shape[2:]:
        return None
    return _of(target.long(), classes, binary=False)


def _of(labels: Tensor, classes: int, *, binary: bool) -> Shares | None:
    labels = labels[(labels >= 0) & (labels < classes)].flatten()
    if not len(labels):
        return None
    counts = torch.bincount(labels, minlength=classes).double().clamp(min=1)
    return Shares(counts / counts.sum(), binary)
