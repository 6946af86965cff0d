"""Can a linear classifier tell two sets of samples apart, and how well does a score order them?"""

from __future__ import annotations

from typing import Any

import numpy as np

from netwright.doctor.data.components import principal

Indices = np.ndarray[Any, np.dtype[np.int64]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]


def area_under_curve(lower: Matrix, upper: Matrix) -> float:
    """The chance that a score out of `upper` is above one out of `lower`, ties counting a half.

    >>> area_under_curve(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    both = np.concatenate((lower, upper))
    order = np.argsort(both, kind="stable")
    values, counts = np.unique(both[order], return_counts=True)
    ends = np.cumsum(counts)
    middle = ends - (counts - 1) / 2  # the mean rank of each distinct value
    ranks = middle[np.searchsorted(values, upper)]
    total = ranks.sum() - len(upper) * (len(upper) + 1) / 2
    return float(total / (len(lower) * len(upper)))


def separation(first: Matrix, second: Matrix, *, ridge: float = 1e-2) -> float:
    """The area under the curve of a linear discriminant, fitted on one half of (N, D) and (M, D)
    and measured on the other, then the halves exchanged; 0.5 where nothing tells them apart.

    Features are scaled by what the two have in common; `ridge` is added to their correlations.
    """
    scores = []
    for turn in (0, 1):
        a, b = first[turn::2], second[turn::2]
        held_a, held_b = first[1 - turn :: 2], second[1 - turn :: 2]
        if min(len(a), len(b), len(held_a), len(held_b)) < 2:
            return 0.5
        pooled = np.concatenate((a - a.mean(0), b - b.mean(0)))
        scale = np.concatenate((a, b)).std(0)
        scale = np.where(scale > 0, scale, 1.0)
        pooled = pooled / scale
        within = pooled.T @ pooled / len(pooled) + ridge * np.eye(pooled.shape[1])
        direction = np.linalg.solve(within, (b.mean(0) - a.mean(0)) / scale) / scale
        scores.append(area_under_curve(held_a @ direction, held_b @ direction))
    return float(np.mean(scores))


def linear_score(
    rows: Matrix, labels: Indices, queries: Matrix, truth: Indices, *, ridge: float = 1e-2
) -> float:
    """The share of `queries` named rightly by least squares on the one-hot labels of `rows`, over
    32 principal components and a constant: unlike neighbours it feels a shift or another scale."""
    space = principal(rows, 32)
    placed, asked = space.of(rows), space.of(queries)
    scale = placed.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    distinct, codes = np.unique(np.concatenate((labels, truth)), return_inverse=True)
    design = np.column_stack((placed / scale, np.ones(len(rows))))
    hot = np.eye(len(distinct))[codes[: len(labels)]]
    within = design.T @ design / len(rows) + ridge * np.eye(design.shape[1])
    weights = np.linalg.solve(within, design.T @ hot / len(rows))
    scores = np.column_stack((asked / scale, np.ones(len(queries)))) @ weights
    return float((scores.argmax(1) == codes[len(labels) :]).mean())
