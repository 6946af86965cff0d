"""Transforms of inputs that bring one set of them to look like another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.doctor.trials.feed import Pair

QUANTILES = 33

MOST_MOVE = 8
"""Pixels that images are moved at the most, and a quarter of their side."""

LESS = 0.5
"""Of what the mean images lack to go together wholly, that a move has to leave less of."""

TURNS = {
    "transposed": lambda x: x.transpose(-1, -2),
    "flipped left to right": lambda x: x.flip(-1),
    "upside down": lambda x: x.flip(-2),
    "turned by 90 degrees": lambda x: x.rot90(1, (-2, -1)),
    "turned by 180 degrees": lambda x: x.rot90(2, (-2, -1)),
    "turned by 270 degrees": lambda x: x.rot90(3, (-2, -1)),
    "transposed the other way": lambda x: x.rot90(2, (-2, -1)).transpose(-1, -2),
}
"""The flips and turns of a square, of images (N, C, H, W)."""


@dataclass(frozen=True)
class Turned:
    """Images turned or flipped; sequences (N, T, F) read backwards."""

    how: str

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        if self.how == "backwards":
            return inputs.flip(1), target
        return TURNS[self.how](inputs).contiguous(), target


@dataclass(frozen=True)
class Moved:
    """Images moved down and to the right (up and to the left by less than 0); what comes in is a
    copy of the edge, or what goes out on the other side."""

    down: int
    right: int
    wraps: bool = False

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return self.of(inputs), target

    def of(self, images: Tensor) -> Tensor:
        for axis, by in ((-2, self.down), (-1, self.right)):
            length = images.shape[axis]
            places = torch.arange(length, device=images.device) - by
            places = places % length if self.wraps else places.clamp(0, length - 1)
            images = images.index_select(axis, places)
        return images


@dataclass(frozen=True)
class Reordered:
    """Columns (the last axis) or channels (axis 1 of images) in another order."""

    order: tuple[int, ...]

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        axis = 1 if inputs.ndim >= 4 else inputs.ndim - 1
        return inputs.index_select(axis, torch.tensor(self.order, device=inputs.device)), target


@dataclass(frozen=True, eq=False)
class Scaled:
    """scale * x + shift, both of a shape that stretches over the batch."""

    scale: Tensor
    shift: Tensor

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        return inputs * self.scale.to(inputs) + self.shift.to(inputs), target


@dataclass(frozen=True, eq=False)
class Remapped:
    """Each feature by the curve through the quantiles of both sets, (K, F) each; all numbers of
    images by one curve, (K, 1)."""

    theirs: Tensor
    ours: Tensor

    def __call__(self, inputs: Tensor, target: Tensor) -> Pair:
        rows = inputs.reshape(-1, self.theirs.shape[1])
        made = [
            _along(rows[:, each], self.theirs[:, each].to(rows), self.ours[:, each].to(rows))
            for each in range(rows.shape[1])
        ]
        return torch.stack(made, 1).reshape(inputs.shape), target


def _along(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """The curve through (knots, values), straight in between, flat beyond its ends."""
    right = torch.searchsorted(knots.contiguous(), x.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    part = ((x - low) / (high - low).clamp(min=1e-30)).clamp(0, 1)
    return values[right - 1] + part * (values[right] - values[right - 1])


def remapped(theirs: Tensor, ours: Tensor) -> Remapped:
    """From inputs of one set to those of the other; features are the last axis, of images all
    pixels are one."""
    features = 1 if theirs.ndim >= 4 else theirs.shape[-1]
    at = torch.linspace(0, 1, QUANTILES, dtype=torch.double)
    return Remapped(
        *(torch.quantile(_some(each, features), at, 0).float() for each in (theirs, ours))
    )


def _some(inputs: Tensor, features: int) -> Tensor:
    """At most 100,000 rows: torch's quantiles take no more than 16 million numbers."""
    rows = inputs.double().reshape(-1, features)
    return rows[:: max(1, len(rows) // 100_000)]


def scaled_by_moments(theirs: Tensor, ours: Tensor, over: tuple[int, ...]) -> Scaled:
    """Mean and spread of each feature brought over. What never varies is moved alone."""
    a, b = theirs.double(), ours.double()
    spread, wanted = a.std(over, keepdim=True), b.std(over, keepdim=True)
    known = (spread > 0) & (wanted > 0)
    scale = torch.where(known, wanted / spread.clamp(min=1e-30), torch.ones_like(spread))
    shift = b.mean(over, keepdim=True) - scale * a.mean(over, keepdim=True)
    return Scaled(scale[0].float(), shift[0].float())


def scaled_by_mean_images(theirs: Tensor, ours: Tensor) -> Scaled | None:
    """One scale and shift for all, the straight line through the pairs of mean values of each
    place: its slope may be negative, as of images that were inverted."""
    a, b = theirs.double().mean(0).flatten(), ours.double().mean(0).flatten()
    spread = float((a - a.mean()).square().mean())
    if len(a) < 3 or spread <= 0:
        return None
    slope = float(((a - a.mean()) * (b - b.mean())).mean()) / spread
    shift = float(b.mean()) - slope * float(a.mean())
    return Scaled(torch.tensor(slope), torch.tensor(shift)) if slope else None


def moved(theirs: Tensor, ours: Tensor) -> Moved | None:
    """The move after which the mean images go together best; None where that is hardly better than
    as they stand."""
    mean, wanted = (each.double().mean(0) for each in (theirs, ours))
    most = min(MOST_MOVE, min(mean.shape[-2:]) // 4)
    if mean.shape != wanted.shape or most < 1 or not float(mean.std()) or not float(wanted.std()):
        return None

    def fit(move: Moved) -> float:
        pair = torch.stack((move.of(mean).flatten(), wanted.flatten()))
        return float(torch.corrcoef(pair)[0, 1])

    steps = range(-most, most + 1)
    moves = [Moved(*by) for by in itertools.product(steps, steps, (False, True))]
    fits = {move: fit(move) for move in moves}
    best = max(fits, key=lambda move: fits[move])
    return best if 1 - fits[best] < LESS * (1 - fits[Moved(0, 0)]) else None


def distance(one: Tensor, other: Tensor) -> float:
    """How far mean and spread of the places lie apart, in spreads of the other set."""
    a, b = one.double(), other.double()
    unit = b.std(0).square().mean().sqrt().clamp(min=1e-12)
    if b.ndim == 2:
        unit = b.std(0).clamp(min=1e-12)
    means = ((a.mean(0) - b.mean(0)) / unit).square().mean()
    spreads = ((a.std(0) - b.std(0)) / unit).square().mean()
    return float((means + spreads).sqrt())
