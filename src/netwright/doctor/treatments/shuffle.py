"""Samples in an order of chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.feed import Feed, Pair
from netwright.records.findings import Finding


@TREATMENTS.register("shuffle", grade="safe", cures=("unshuffled-data",))
def shuffle(course: Course, finding: Finding) -> Iterator[Plan]:
    """Each epoch in another order, sample by sample.

    Batches that came ready made are taken apart for it.

    Source: Bengio 2012, Practical recommendations for gradient-based training, section 3.1.
    """
    if course.train.unit == 1 and course.train.shuffle:
        return
    yield Plan(says=Phrase("training samples in a new order each epoch"), apply=_shuffle)


def _shuffle(course: Course) -> None:
    course.train = dataclasses.replace(loose(course.train), shuffle=True)


def loose(feed: Feed) -> Feed:
    """The same samples, each a row of its own."""
    if feed.unit == 1:
        return feed
    parts = [feed.read([row]) for row in feed.rows]
    inputs, target = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    return dataclasses.replace(
        feed, read=InMemory(inputs, target), rows=tuple(range(len(target))), unit=1,
        batch=min(feed.unit, len(target)), weights=None,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows of tensors."""

    inputs: Tensor
    target: Tensor

    def __call__(self, rows: Sequence[int]) -> Pair:
        which = torch.tensor(list(rows))
        return self.inputs[which], self.target[which]
