"""What is missing in the data is filled in, or left out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments import Plan
from netwright.doctor.treatments._layers import Filled
from netwright.doctor.treatments._rows import FiniteRows, axes, in_front, sample
from netwright.doctor.trials.course import Course

MANY = 0.2
"""Share of the samples from which on nothing is left out: too little would stay."""


def filling(course: Course) -> Iterator[Plan]:
    """A first layer that fills inputs in; samples left out, where they are few or their targets
    are what is not finite."""
    inputs, target = sample(course.train)
    judged, _ = sample(course.val)
    bad = ~_finite(inputs) | ~_finite(target)
    share = float(bad.float().mean())
    of_inputs = not bool(_finite(inputs).all()) or not bool(_finite(judged).all())
    leave_out = Plan(
        says=Phrase("training samples with a value that is not finite are left out"),
        apply=_left_out,
    )
    if not bool(_finite(target).all()):
        yield leave_out
        return
    if of_inputs:
        yield Plan(
            says=Phrase("a first layer fills in what is not finite"),
            apply=lambda course: in_front(course, _of(inputs)),
        )
        if 0 < share < MANY:
            yield leave_out


def _of(inputs: Tensor) -> Filled:
    """The median of the finite values of a feature for what is missing, the ends for infinities."""
    over = axes(inputs)
    own = next(each for each in range(inputs.ndim) if each not in over)
    x = inputs.movedim(own, 0).flatten(1).double()
    x = torch.where(x.isfinite(), x, torch.nan)
    middle = x.nanmedian(1).values
    low = torch.where(x.isnan(), torch.inf, x).amin(1)
    high = torch.where(x.isnan(), -torch.inf, x).amax(1)
    shape = [1] * (inputs.ndim - 1)
    shape[own - 1] = -1
    parts = [each.nan_to_num(0.0, 0.0, 0.0).float().reshape(shape) for each in (middle, low, high)]
    return Filled(*parts)


def _left_out(course: Course) -> None:
    course.train = course.train.changed(FiniteRows())


def _finite(values: Tensor) -> Tensor:
    return values.flatten(1).isfinite().all(1) if values.ndim > 1 else values.isfinite()
