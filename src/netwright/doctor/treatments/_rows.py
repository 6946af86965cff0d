"""What a treatment reads of the data, and changes of batches and rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.doctor.trials.course import Course
from netwright.doctor.trials.feed import Feed, Pair

SAMPLES = 4000
"""Samples that moments are taken of."""

ROWS = 20_000
"""Rows that are compared with one another, at the most."""

SIDE = 16
"""Pixels a side to which images are shrunk before they are compared."""


def sample(feed: Feed, most: int = SAMPLES) -> Pair:
    """Inputs and targets of the first batches of an epoch."""
    parts: list[Pair] = []
    count = 0
    for each in feed.batches():
        parts.append(each)
        count += len(each[1])
        if count >= most:
            break
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def by_row(feed: Feed) -> Pair | None:
    """All inputs and targets in the order of the rows; None where rows stand for batches, or are
    too many to be compared."""
    if feed.unit != 1 or len(feed.rows) > ROWS:
        return None
    parts = [feed.of(feed.rows[at : at + 512]) for at in range(0, len(feed.rows), 512)]
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def flat(inputs: Tensor) -> Tensor:
    """(N, D) in double precision, images shrunk to 16 pixels a side, each feature by its spread."""
    rows = shrunk(inputs).detach().cpu().flatten(1).double()
    if inputs.ndim == 2:  # columns in units of their own
        rows = (rows - rows.mean(0)) / rows.std(0).clamp(min=1e-12)
    return rows


def shrunk(inputs: Tensor) -> Tensor:
    """Images at 16 pixels a side at the most; anything else as it is."""
    if inputs.ndim == 4 and inputs.is_floating_point() and max(inputs.shape[2:]) > SIDE:
        return F.adaptive_avg_pool2d(inputs, SIDE)
    return inputs


def axes(inputs: Tensor, layer: nn.Module | None = None) -> tuple[int, ...]:
    """The axes that moments are taken over: all but that of the features. Images and what goes
    into a convolution have channels along axis 1, tables and sequences have features last."""
    of_channels = inputs.ndim >= 4 or isinstance(layer, nn.Conv1d | nn.Conv3d | nn.BatchNorm1d)
    own = 1 if inputs.ndim > 1 and of_channels else inputs.ndim - 1
    return tuple(each for each in range(inputs.ndim) if each != own)


def keeping(feed: Feed, kept: Sequence[bool]) -> Feed:
    """The same feed with some of its rows; their chances go with them."""
    rows = tuple(row for row, keep in zip(feed.rows, kept, strict=True) if keep)
    weights = feed.weights[torch.tensor(list(kept))] if feed.weights is not None else None
    return dataclasses.replace(feed, rows=rows, weights=weights, batch=min(feed.batch, len(rows)))


def in_front(course: Course, layer: nn.Module) -> None:
    """A layer before the model, carried with it."""
    course.replace_modules({"": nn.Sequential(layer, course.model)})


def behind(course: Course, layer: nn.Module) -> None:
    """A layer behind the model, carried with it."""
    course.replace_modules({"": nn.Sequential(course.model, layer)})


@dataclass(frozen=True)
class Paired:
    """Rows read with the target of another row: that of row i is the target of row i + `shift`."""

    feed: Feed
    shift: int

    def __call__(self, rows: Sequence[int]) -> Pair:
        place = {row: at for at, row in enumerate(self.feed.rows)}
        others = [self.feed.rows[(place[row] + self.shift) % len(self.feed.rows)] for row in rows]
        return self.feed.read(rows)[0], self.feed.read(others)[1]


@dataclass(frozen=True)
class Cast:
    """Targets of another type, or class numbers for one-hot rows."""

    dtype: torch.dtype
    of_rows: bool = False

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return inputs, (target.argmax(1) if self.of_rows else target).to(self.dtype)


@dataclass(frozen=True)
class Squeezed:
    """Targets without one axis of size 1."""

    axis: int

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return inputs, target.squeeze(self.axis)


@dataclass(frozen=True)
class Shifted:
    """Class numbers plus `by`."""

    by: int

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return inputs, target + self.by


@dataclass(frozen=True)
class AsTwo:
    """Targets of two values as 0 and 1."""

    low: float
    high: float

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return inputs, ((target - self.low) / (self.high - self.low)).to(torch.get_default_dtype())


def read_as_two(course: Course, low: float, high: float) -> None:
    """In training and validation, and so by the judge."""
    change = AsTwo(low, high)
    course.train, course.val = course.train.changed(change), course.val.changed(change)
    course.judge = dataclasses.replace(course.judge, yes=0.5)


@dataclass(frozen=True)
class Renamed:
    """Class numbers by a table: `names[k]` for k; others stay."""

    names: tuple[int, ...]

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        table = torch.tensor(self.names, device=target.device)
        known = (target >= 0) & (target < len(table))
        renamed = table[target.long().clamp(0, len(table) - 1)].to(target.dtype)
        return inputs, torch.where(known, renamed, target)


@dataclass(frozen=True)
class WithinClasses:
    """Samples whose class has an output; of maps the places, the others marked as not counted."""

    classes: int
    ignored: int = -100

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        known = (target >= 0) & (target < self.classes)
        if target.ndim > 1:
            return inputs, torch.where(known, target, torch.full_like(target, self.ignored))
        if not bool(known.any()):
            return inputs, torch.full_like(target, self.ignored)
        return inputs[known], target[known]


@dataclass(frozen=True)
class FiniteRows:
    """Samples of which input and target are finite."""

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        kept = _finite(inputs) & _finite(target)
        if bool(kept.any()):
            return inputs[kept], target[kept]
        return inputs.nan_to_num(0.0, 0.0, 0.0), target.nan_to_num(0.0, 0.0, 0.0)


def _finite(values: Tensor) -> Tensor:
    """(N,): whether all numbers of a sample are finite."""
    return values.flatten(1).isfinite().all(1) if values.ndim > 1 else values.isfinite()
