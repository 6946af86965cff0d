"""What labels mean, as near neighbours tell it: the two splits held against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from netwright.doctor.data.assignment import best_assignment
from netwright.doctor.data.components import principal
from netwright.doctor.data.labels import class_labels, one_each
from netwright.doctor.data.neighbours import Indices, nearest, votes
from netwright.doctor.treatments._rows import by_row, flat
from netwright.doctor.trials.course import Course

NEIGHBOURS = 10

MOST_SHIFT = 3
"""Rows that labels may lie off."""


@dataclass(frozen=True, eq=False)
class Meanings:
    """Class numbers of training and validation, and to each training sample its nearest of
    validation and of training (itself not)."""

    train: Indices
    val: Indices
    across: Indices
    within: Indices
    classes: int

    def names(self) -> tuple[int, ...]:
        """To each class of training the one that validation gives to such samples, one to one."""
        table = np.zeros((self.classes, self.classes))
        np.add.at(table, (self.train, self.val[self.across[:, 0]]), 1.0)
        return best_assignment(table / table.sum(1, keepdims=True).clip(min=1))

    def agreement(self, labels: Indices) -> float:
        """The share of training samples that have the label of their nearest in validation."""
        return float((labels == self.val[self.across[:, 0]]).mean())

    def shift(self) -> int:
        """By how many rows labels lie off, 0 where no shift makes them agree far better."""
        stands = self.agreement(self.train)
        found = {
            by: self.agreement(np.roll(self.train, -by))
            for by in range(-MOST_SHIFT, MOST_SHIFT + 1)
            if by
        }
        best = max(found, key=lambda by: found[by])
        chance = float((np.bincount(self.val) / len(self.val)).max())
        return best if found[best] > 0.5 * (1 + chance) and found[best] > 1.5 * stands else 0

    def votes(self) -> Indices:
        """(N, C): how many of the neighbours in training have each label."""
        return votes(self.train, self.within, self.classes)

    def suspects(self) -> list[bool]:
        """The samples whose label is not what most of their neighbours in training have (edited
        nearest neighbours, Wilson 1972, Asymptotic properties of nearest neighbor rules)."""
        return [bool(each) for each in self.votes().argmax(1) != self.train]


def meanings(course: Course) -> Meanings | None:
    """None where targets are no classes, one a sample, or the rows cannot be read one by one."""
    train, val = by_row(course.train), by_row(course.val)
    if train is None or val is None or len(val[1]) < 2 or len(train[1]) < 20:
        return None
    labels = [class_labels(each) for each in map(one_each, (train[1].cpu(), val[1].cpu()))
              if each is not None]  # fmt: skip
    ours, theirs = (labels[0], labels[1]) if len(labels) == 2 else (None, None)
    if ours is None or theirs is None or min(ours.min(), theirs.min()) < 0:
        return None
    x, others = flat(train[0]), flat(val[0])
    if not bool(torch.isfinite(x).all()) or not bool(torch.isfinite(others).all()):
        return None
    components = principal(x.numpy(), 32)
    near, far = components.of(x.numpy()), components.of(others.numpy())
    return Meanings(
        train=ours,
        val=theirs,
        across=nearest(near, far, 1).index,
        within=nearest(near, near, NEIGHBOURS, itself=True).index,
        classes=int(max(ours.max(), theirs.max())) + 1,
    )
