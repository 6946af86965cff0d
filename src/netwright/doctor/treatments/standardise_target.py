"""The targets on one scale, undone in what the model answers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import answers
from netwright.doctor.treatments._layers import InUnits
from netwright.doctor.treatments._losses import InSpreads
from netwright.doctor.treatments._rows import behind, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

FEW = 16
"""Targets a sample, up to which each has a mean and a spread of its own at first."""


@TREATMENTS.register("standardise-target", grade="ask", cures=("unscaled-target",))
def standardise_target(course: Course, finding: Finding) -> Iterator[Plan]:
    """The model answers spread * z + mean, and the loss is that of z and (y - mean) / spread.

    Mean and spread are those of the training targets, and a layer at the end of the model carries
    them: it answers in the units of the targets as before. A few targets have their own, the
    numbers of an image have one spread for all, so that each weighs in the loss as it did, and
    means of their own, or one; the other way comes after.

    Source: Bishop 1995, Neural networks for pattern recognition, section 8.2.
    """
    found = answers(course)
    if found is None or found.output.shape != found.target.shape or found.output.ndim < 1:
        return
    _, target = sample(course.train)
    if not target.is_floating_point():
        return
    each, one = _moments(target, each=True), _moments(target, each=False)
    by_target = target.ndim == 2 and target.shape[1] > 1
    plans = [one]
    if by_target:
        centred = (each[0], one[1])
        plans = [each, one] if target.shape[1] <= FEW else [centred, one, each]
    for mean, spread in plans:
        yield Plan(
            says=Phrase("targets less {mean}, over {spread}; the model answers in their units",
                        mean=amount(float(mean.mean())), spread=amount(float(spread.mean())))
            if mean.numel() == 1
            else Phrase("each target less its mean, over one spread; the model answers in their "
                        "units")
            if spread.numel() == 1
            else Phrase("each target less its mean, over its spread; the model answers in their "
                        "units"),
            apply=lambda course, mean=mean, spread=spread: _apply(  # type: ignore[misc]
                course, mean, spread
            ),
        )  # fmt: skip


def _moments(target: Tensor, *, each: bool) -> tuple[Tensor, Tensor]:
    """Of every target for itself or of all together; what never varies has the spread of all."""
    y = target.double()
    y = y[y.flatten(1).isfinite().all(1)] if y.ndim > 1 else y[y.isfinite()]
    over = (0,) if each else tuple(range(y.ndim))
    mean, spread = y.mean(over), y.std(over)
    whole = float(y.std()) or 1.0
    spread = torch.where(spread > 1e-6 * whole, spread, torch.full_like(spread, whole))
    return mean.float().reshape(-1), spread.float().reshape(-1)


def _apply(course: Course, mean: Tensor, spread: Tensor) -> None:
    behind(course, InUnits(mean, spread))
    course.loss = InSpreads(course.loss, tuple(mean.tolist()), tuple(spread.tolist()))
