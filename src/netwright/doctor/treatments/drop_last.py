"""The last batch of an epoch left out where it is smaller."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@TREATMENTS.register("drop-last", grade="safe", cures=("batchnorm-small-batch",))
def drop_last(course: Course, finding: Finding) -> Iterator[Plan]:
    """Only whole batches: a norm of one sample has no spread, and torch refuses it.

    With shuffling each sample comes by in most epochs all the same.

    Source: the documentation of torch.utils.data.DataLoader.
    """
    feed = course.train
    if feed.drop_last or len(feed.rows) % feed.batch == 0 or len(feed.rows) < feed.batch:
        return
    yield Plan(says=Phrase("the smaller last batch of an epoch is left out"), apply=_apply)


def _apply(course: Course) -> None:
    course.train = dataclasses.replace(course.train, drop_last=True)
