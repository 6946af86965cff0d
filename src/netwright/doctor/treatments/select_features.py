"""The features of a table that tell of the targets, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.data.telling import telling
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._foretelling import targets_of
from netwright.doctor.treatments._layers import Kept
from netwright.doctor.treatments._rows import in_front, sample
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MOST = 0.5
"""Share of the features that may be kept: leaving out a few changes nothing."""

CLASSES = 20


@TREATMENTS.register("select-features", grade="ask", cures=("too-much-capacity", "overfitting"))
def select_features(course: Course, finding: Finding) -> Iterator[Plan]:
    """A first layer sets columns to 0 that go together with the targets by chance at best.

    Each column is asked for its value, its square and its products with each other one, so that
    two of them which tell only together are kept.

    Source: Guyon & Elisseeff 2003, An introduction to variable and feature selection, sections 2
    and 3.
    """
    inputs, target = sample(course.train)
    if inputs.ndim != 2 or not inputs.is_floating_point():
        return
    known = targets_of(target.cpu())
    rows = inputs.detach().cpu().double()
    if known is None or known.shape[1] > CLASSES or not bool(rows.isfinite().all()):
        return
    kept = torch.from_numpy(telling(rows.numpy(), known))
    if not bool(kept.any()) or int(kept.sum()) > MOST * len(kept):
        return
    yield Plan(
        says=Phrase("{kept} of {features} features, which tell of the targets; the others are set "
                    "to 0", kept=int(kept.sum()), features=len(kept)),
        apply=lambda course: _apply(course, kept.to(inputs.device)),
    )  # fmt: skip


def _apply(course: Course, kept: Tensor) -> None:
    in_front(course, Kept(kept))
