"""The inputs on one scale, by a layer of the model."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._layers import Standardise
from netwright.doctor.treatments._rows import axes, in_front, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

APART = 1e3
"""Ratio of the spreads of two places, from which on each has its own (as the finding counts)."""


@TREATMENTS.register("standardise-input", grade="safe", cures=("unscaled-input",))
def standardise_input(course: Course, finding: Finding) -> Iterator[Plan]:
    """(x - mean) / spread as the first layer, so that the model takes raw inputs as before.

    Each channel of images, each column of tables and each number of a step of time has its own
    mean and spread, of the training data. Where the places of an image differ as the columns of a
    table do, each place has its own. What never varies stays at 0.

    Source: LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3.
    """
    inputs, _ = sample(course.train)
    if not inputs.is_floating_point() or inputs.ndim < 2:
        return
    paths = dict(course.model.named_modules())
    layer = paths.get(finding.layers[0]) if finding.layers else None
    by_place = Plan(
        says=Phrase("inputs standardised by a first layer, each place for itself"),
        apply=lambda course: in_front(course, _of(inputs, (0,))),
    )
    by_channel = Plan(
        says=Phrase("inputs standardised by a first layer"),
        apply=lambda course: in_front(course, _of(inputs, axes(inputs, layer))),
    )
    if inputs.ndim > 2 and _apart(inputs):
        yield by_place
    yield by_channel


def _of(inputs: Tensor, over: tuple[int, ...]) -> Standardise:
    """By moments in double precision of what is finite, without the axis of the batch."""
    x = inputs.double()
    x = torch.where(x.isfinite(), x, torch.nan)
    mean = x.nanmean(over, keepdim=True)
    spread = (x - mean).square().nanmean(over, keepdim=True).sqrt()
    least = 1e-7 * mean.abs().clamp(min=1e-30)  # what single precision makes of a constant
    spread = torch.where(spread > least, spread, torch.ones_like(spread))
    return Standardise(mean[0].nan_to_num().float(), spread[0].nan_to_num(1.0).float())


def _apart(inputs: Tensor) -> bool:
    spread = inputs.double().std(0).flatten()
    spread = spread[spread > 0]
    return len(spread) > 1 and float(spread.max()) > APART * float(spread.min())
