"""Enough values for a norm's mean and spread."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._norming import groups_for
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

WANTED = (16, 64)
"""Samples in a batch; more is not needed by a norm (Wu & He 2018, figure 1)."""

MOST = 0.25
"""Of the samples in one batch."""


@TREATMENTS.register("larger-batch", grade="ask", cures=("batchnorm-small-batch",))
def larger_batch(course: Course, finding: Finding) -> Iterator[Plan]:
    """Group normalisation in the place of batch normalisation; or larger batches.

    The one asks nothing of the batch and leaves the number of steps, the other leaves the network.
    Batches that came ready made are as large as they are.

    Source: Wu & He 2018, Group normalization; Ioffe & Szegedy 2015.
    """
    if any(isinstance(each, _BatchNorm) for each in course.model.modules()):
        yield Plan(
            says=Phrase("group normalisation in the place of batch normalisation"), apply=_grouped
        )
    feed = course.train
    for wanted in WANTED:
        if feed.unit == 1 and feed.batch < wanted <= MOST * feed.samples:
            yield Plan(
                says=Phrase("batches of {count} samples", count=wanted),
                apply=lambda course, wanted=wanted: _batched(course, wanted),  # type: ignore[misc]
            )


def _batched(course: Course, samples: int) -> None:
    course.train = course.train.of_batch(samples)


def _grouped(course: Course) -> None:
    made: dict[str, nn.Module] = {}
    for path, each in course.model.named_modules():
        if isinstance(each, _BatchNorm):
            channels = each.num_features
            if channels > 1:
                made[path] = nn.GroupNorm(groups_for(channels), channels)
    course.replace_modules(made)
