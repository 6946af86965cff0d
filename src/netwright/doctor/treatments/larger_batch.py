"""Gradients of more samples, and norms of more values."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._at_rate import at_rate
from netwright.doctor.treatments._batches import divisible, of_batch, root
from netwright.doctor.treatments._norming import groups_for
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

TIMES, LEAST = 4, 32

WANTED = (16, 64)
"""Samples in a batch; more is not needed by a norm (Wu & He 2018, figure 1)."""

MOST = 0.25
"""Of the samples in one batch."""


@TREATMENTS.register(
    "larger-batch", grade="ask", cures=("noisy-gradients", "batchnorm-small-batch")
)
def larger_batch(course: Course, finding: Finding) -> Iterator[Plan]:
    """Batches four times as large, or a tenth of the rate, which averages over time.

    Batches are of 32 at least; at the same rate, and at one that grows with the root of the size.
    For a norm with too few values: group normalisation in its place, which asks nothing of the
    batch, or batches of 16 and 64. Batches that came ready made are as large as they are.

    Source: McCandlish et al. 2018, An empirical model of large-batch training, section 2.2; Wu & He
    2018, Group normalization.
    """
    if finding.name == "batchnorm-small-batch":
        yield from _for_a_norm(course)
        return
    feed = course.train
    samples = min(max(TIMES * feed.batch, LEAST), len(feed.rows))
    if divisible(course) and samples > feed.batch:
        yield of_batch(course, samples)
        yield of_batch(course, samples, root(samples / feed.batch))
    if course.rate > 0:
        yield at_rate(course, course.rate / 10)


def _for_a_norm(course: Course) -> Iterator[Plan]:
    if any(isinstance(each, _BatchNorm) for each in course.model.modules()):
        yield Plan(
            says=Phrase("group normalisation in the place of batch normalisation"), apply=_grouped
        )
    feed = course.train
    for wanted in WANTED:
        if divisible(course) and feed.batch < wanted <= MOST * feed.samples:
            yield of_batch(course, wanted)


def _grouped(course: Course) -> None:
    made: dict[str, nn.Module] = {}
    for path, each in course.model.named_modules():
        if isinstance(each, _BatchNorm):
            channels = each.num_features
            if channels > 1:
                made[path] = nn.GroupNorm(groups_for(channels), channels)
    course.replace_modules(made)
