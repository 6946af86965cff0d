"""No last batch of one sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("drop-last", grade="ask", cures=("batchnorm-small-batch",))
def drop_last(course: Course, finding: Finding) -> Iterator[Plan]:
    """The last batch of an epoch is left out where it is smaller than the others.

    Which samples that hits changes with every epoch, where they are shuffled.

    Source: PyTorch documentation, DataLoader(drop_last=True).
    """
    feed = course.train
    if not feed.drop_last and len(feed.rows) > feed.batch and len(feed.rows) % feed.batch:
        yield Plan(says=Phrase("without the last, smaller batch"), apply=_drop)


def _drop(course: Course) -> None:
    course.train = dataclasses.replace(course.train, drop_last=True)
