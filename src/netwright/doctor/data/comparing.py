"""Two splits held against each other: can they be told apart, and what would make them one?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.doctor.data.components import principal
from netwright.doctor.data.separation import separation
from netwright.doctor.data.shrinking import Matrix, spreads
from netwright.doctor.data.split import Split

FEWEST = 40
"""Samples of a split below which nothing is compared."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The kept samples of both splits as rows (N, D), and their means and spreads by channel
    (images) or by feature. `channels` is 0 where there are none."""

    train: Matrix
    val: Matrix
    channels: int
    gaps: Matrix
    ratios: Matrix
    train_mean: Matrix
    val_mean: Matrix
    train_spread: Matrix
    val_spread: Matrix


def pair_of(train: Split, val: Split) -> Pair | None:
    """None where they are of different kinds, have no distances, or are too few."""
    rows, others = train.features, val.features
    if train.kind != val.kind or min(len(rows), len(others)) < FEWEST:
        return None
    if rows.shape[1] != others.shape[1]:
        return None
    of_train, of_val = train.moments, val.moments
    if of_train is not None and of_val is not None:
        if of_train[0].shape[1] != of_val[0].shape[1]:
            return None
        mean, spread = of_train[0].mean(0), spreads(*of_train)
        other_mean, other_spread = of_val[0].mean(0), spreads(*of_val)
        channels = len(mean)
    else:
        dense = dense_features(rows, others)
        mean, spread = rows[:, dense].mean(0), rows[:, dense].std(0)
        other_mean, other_spread = others[:, dense].mean(0), others[:, dense].std(0)
        channels = 0
    safe = np.where(spread > 0, spread, np.maximum(other_spread, 1e-12))
    return Pair(
        train=rows,
        val=others,
        channels=channels,
        gaps=(other_mean - mean) / safe,
        ratios=other_spread / safe,
        train_mean=mean,
        val_mean=other_mean,
        train_spread=spread,
        val_spread=other_spread,
    )


def dense_features(*tables: Matrix) -> Any:
    """Which features are not mostly one value, in any of the tables."""
    return np.logical_and.reduce(
        [
            [
                np.unique(column, return_counts=True)[1].max() <= len(column) / 2
                for column in table.T
            ]
            for table in tables
        ]
    )


def telling(first: Matrix, second: Matrix) -> float:
    """The area under the curve of a linear classifier between two sets of rows, on the principal
    components of both together."""
    both = principal(np.concatenate((first, second)), 64)
    return separation(both.of(first), both.of(second))


def mean_image_correlation(first: Matrix, second: Matrix) -> float | None:
    """Of the mean rows of two sets; None where one of them is flat."""
    a, b = first.mean(0), second.mean(0)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else None


def channel_order(pair: Pair) -> tuple[tuple[int, ...], float]:
    """The order in which the channels of the validation images fit those of the training images
    best, and by how many times that is nearer than as they stand; () where they stand well.

    "Nearer" is measured on mean images, against the distance between two halves of training.
    """
    if pair.channels not in (3, 4):
        return (), 0.0
    means = [rows.mean(0).reshape(pair.channels, -1) for rows in (pair.train, pair.val)]
    halves = [pair.train[turn::2].mean(0).reshape(pair.channels, -1) for turn in (0, 1)]
    noise = float(np.linalg.norm(halves[0] - halves[1]))
    gaps = {
        order: float(np.linalg.norm(means[1] - means[0][list(order)]))
        for order in itertools.permutations(range(pair.channels))
    }
    stands = gaps[tuple(range(pair.channels))]
    best = min(gaps, key=lambda order: gaps[order])
    gain = stands / max(gaps[best], noise, 1e-12)
    return (best, gain) if gain > 2 and stands > 4 * noise else ((), 0.0)


TURNS: dict[str, Any] = {
    "left and right exchanged": lambda x: x[..., ::-1],
    "top and bottom exchanged": lambda x: x[..., ::-1, :],
    "half a turn": lambda x: x[..., ::-1, ::-1],
    "rows and columns exchanged": lambda x: x.swapaxes(-1, -2),
    "a quarter turn to the left": lambda x: np.rot90(x, 1, (-2, -1)),
    "a quarter turn to the right": lambda x: np.rot90(x, -1, (-2, -1)),
}


BACK: dict[str, Any] = {
    "the steps from last to first": lambda x: x[:, ::-1],
    "the values of a step in the opposite order": lambda x: x[:, :, ::-1],
}
"""Of series (N, T, C)."""


def backwards(pair: Pair, how: str, shape: tuple[int, ...]) -> Matrix | None:
    """The validation series read the other way; None where they were not kept whole."""
    if len(shape) != 2 or shape[0] * shape[1] != pair.val.shape[1] or min(shape) < 2:
        return None
    series = pair.val.reshape(len(pair.val), *shape)
    return np.ascontiguousarray(BACK[how](series)).reshape(len(series), -1)


def turned(pair: Pair, how: str) -> Matrix | None:
    """The validation images flipped or turned; None where they are not square."""
    side = round((pair.val.shape[1] / max(pair.channels, 1)) ** 0.5)
    if not pair.channels or pair.channels * side * side != pair.val.shape[1] or side < 4:
        return None
    images = pair.val.reshape(len(pair.val), pair.channels, side, side)
    return np.ascontiguousarray(TURNS[how](images)).reshape(len(images), -1)


def aligned(pair: Pair, how: str, order: tuple[int, ...] = ()) -> Matrix:
    """The validation rows as they would be with the training data's preprocessing.

    `how`: "scale" gives every channel or feature the mean and spread it has in training,
    "inverted" turns dark and bright round first, "channel order" puts channels in `order`.
    """
    rows = pair.val
    if how == "channel order":
        parts = rows.reshape(len(rows), pair.channels, -1)
        return parts[:, np.argsort(order)].reshape(len(rows), -1)
    sign = -1.0 if how == "inverted" else 1.0
    if pair.channels and rows.shape[1] % pair.channels == 0:
        width = rows.shape[1] // pair.channels
        mean, spread = (np.repeat(each, width) for each in (pair.val_mean, pair.val_spread))
        to_mean, to_spread = (
            np.repeat(each, width) for each in (pair.train_mean, pair.train_spread)
        )
    else:
        mean, spread = rows.mean(0), rows.std(0)
        to_mean, to_spread = pair.train.mean(0), pair.train.std(0)
    safe = np.where(spread > 0, spread, 1.0)
    return sign * (rows - mean) / safe * to_spread + to_mean


def kolmogorov_smirnov(first: Matrix, second: Matrix) -> Matrix:
    """(D,): the largest gap between the distribution functions of each column of two tables."""
    found = []
    for a, b in zip(first.T, second.T, strict=True):
        a, b = np.sort(a), np.sort(b)
        places = np.concatenate((a, b))
        found.append(
            np.abs(
                np.searchsorted(a, places, side="right") / len(a)
                - np.searchsorted(b, places, side="right") / len(b)
            ).max()
        )
    return np.asarray(found)


def smirnov_bound(first: int, second: int, columns: int, *, level: float = 1e-3) -> float:
    """What the largest of `columns` such gaps stays under by chance, but for one case in a
    thousand: sqrt(-ln(level / (2 columns)) / 2 x (1/n + 1/m)) (Smirnov 1948, Bonferroni)."""
    return float(np.sqrt(-np.log(level / (2 * columns)) / 2 * (1 / first + 1 / second)))
