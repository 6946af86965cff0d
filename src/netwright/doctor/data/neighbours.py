"""Nearest neighbours, and what they say of labels: do samples that look alike have the same one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

CHUNK = 512
"""Queries whose distances to all others are held at once."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """`index` and `distance` are (N, k), the nearest first."""

    index: Indices
    distance: Matrix


def nearest(queries: Matrix, among: Matrix, k: int = 1, *, itself: bool = False) -> Neighbours:
    """The `k` nearest rows of `among` (M, D) to each row of `queries` (N, D), by Euclid.

    With `itself`, `queries` are `among`, and a row is not its own neighbour.
    """
    k = min(k, len(among) - itself)
    squares = (among**2).sum(1)
    indices, distances = [], []
    for start in range(0, len(queries), CHUNK):
        part = queries[start : start + CHUNK]
        gaps = squares - 2 * (part @ among.T)
        if itself:
            gaps[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        chosen = np.argpartition(gaps, k - 1, axis=1)[:, :k]
        # The short form above loses digits where two rows are almost equal: the few are measured.
        exact = np.sqrt(((part[:, None, :] - among[chosen]) ** 2).sum(2))
        order = np.argsort(exact, axis=1, kind="stable")
        indices.append(np.take_along_axis(chosen, order, 1))
        distances.append(np.take_along_axis(exact, order, 1))
    return Neighbours(np.concatenate(indices), np.concatenate(distances))


def votes(labels: Indices, neighbours: Indices, classes: int) -> Indices:
    """(N, C): how many of each sample's neighbours have each label."""
    found = np.zeros((len(neighbours), classes), dtype=np.int64)
    rows = np.repeat(np.arange(len(neighbours)), neighbours.shape[1])
    np.add.at(found, (rows, labels[neighbours].ravel()), 1)
    return found


def agreement(labels: Indices, neighbours: Indices) -> float:
    """The share of neighbours that have the label of the sample they are neighbours of."""
    return float((labels[neighbours] == labels[:, None]).mean())


def against_chance(
    labels: Indices, neighbours: Indices, *, rounds: int = 40
) -> tuple[float, float, float]:
    """(agreement, what it is with the labels dealt out anew, z): z is the distance between the
    two in standard deviations over `rounds` permutations, drawn from a generator of its own."""
    found = agreement(labels, neighbours)
    draws = np.random.default_rng(0)
    dealt = [agreement(draws.permutation(labels), neighbours) for _ in range(rounds)]
    spread = float(np.std(dealt))
    chance = float(np.mean(dealt))
    return found, chance, (found - chance) / spread if spread > 0 else 0.0
