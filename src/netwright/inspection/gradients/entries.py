"""A single entry of a gradient, for the reader to look at."""

from __future__ import annotations

import math

import torch

from netwright.inspection.gradients.cases import Case
from netwright.inspection.gradients.comparison import Comparison
from netwright.records.gradients import WrongEntry

DRAWN = 3
"""Entries that are tried at random, besides the largest, before one is searched for."""


def point_out(comparison: Comparison, case: Case) -> None:
    """A single entry of a wrong gradient that is wrong: one of a few, else it is searched for by
    halves."""
    count = case.subject.base.numel()
    generator = comparison.generator
    drawn = torch.randint(0, max(1, count), (DRAWN,), generator=generator).tolist()
    if case.gradient is not None and count:
        drawn.insert(0, int(case.gradient.abs().reshape(-1).argmax()))
    if any(_shown(comparison, case, index) for index in dict.fromkeys(drawn)):
        return
    direction = case.subject.direction(generator).reshape(-1)
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        part = torch.zeros_like(direction)
        part[low:middle] = direction[low:middle]
        moved = part.view(case.subject.base.shape)
        found = comparison.slope([(case.subject, moved)], *case.share(moved))
        low, high = (low, middle) if found.says == "differs" else (middle, high)
    _shown(comparison, case, low)


def _shown(comparison: Comparison, case: Case, index: int) -> bool:
    """Whether this entry is wrong; then it is kept."""
    direction = case.subject.entry(index)
    expected, size = case.share(direction)
    found = comparison.slope([(case.subject, direction)], expected, size)
    if found.says != "differs":
        return False
    case.entries += 1
    size = case.subject.size
    case.entry = entry_of(case, index, backprop=expected / size, numeric=found.value / size)
    return True


def entry_of(case: Case, index: int, *, backprop: float, numeric: float) -> WrongEntry:
    """The entry with this number of the flat tensor."""
    place = torch.unravel_index(torch.tensor(index), case.subject.base.shape)
    return WrongEntry(index=tuple(int(each) for each in place), backprop=backprop, numeric=numeric)


def numeric_at(comparison: Comparison, case: Case, index: int) -> float:
    """The derivative by one entry where backprop has none; not a number if no step knows it."""
    direction = torch.zeros_like(case.subject.base, memory_format=torch.contiguous_format)
    direction.view(-1)[index] = case.subject.size
    found = comparison.slope([(case.subject, direction)], math.nan, 0.0)
    return found.value / case.subject.size if found.says == "differs" else math.nan
