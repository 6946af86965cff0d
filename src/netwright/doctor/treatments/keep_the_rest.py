"""The samples that were left out of every epoch are fed as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._batches import divisible, of_batch
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

STEPS = 4
"""Of an epoch, which smaller batches are to make."""

SMALLEST = 16


@TREATMENTS.register("keep-the-rest", grade="ask", cures=("stuck-data-feed",))
def keep_the_rest(course: Course, finding: Finding) -> Iterator[Plan]:
    """The last batch of an epoch is fed though it is smaller, or all are smaller.

    Source: the documentation of torch.utils.data.DataLoader, `drop_last`.
    """
    feed = course.train
    if not feed.drop_last or len(feed.rows) % feed.batch == 0:
        return
    samples = max(SMALLEST, len(feed.rows) // STEPS)
    if divisible(course) and samples < feed.batch:
        smaller = of_batch(course, samples)

        def apply(made: Course) -> None:
            _keep(made)
            smaller.apply(made)

        yield Plan(
            says=Phrase("batches of {samples}, and none is left out", samples=samples), apply=apply
        )
    yield Plan(says=Phrase("the smaller last batch of an epoch is fed as well"), apply=_keep)


def _keep(course: Course) -> None:
    course.train = dataclasses.replace(course.train, drop_last=False)
