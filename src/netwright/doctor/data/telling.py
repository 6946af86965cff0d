"""Which columns of a table tell of the targets: alone, by their squares, or two together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from netwright.doctor.data.additive import normal_scores
from netwright.doctor.data.shrinking import Matrix

LEVEL = 0.01
"""How likely it is that any column is kept by chance."""

MOST = 1500
"""Columns above which pairs are too many."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]


def telling(rows: Matrix, targets: Matrix) -> Flags:
    """(D,): the columns of `rows` (N, D) whose value, square or product with another column goes
    together with one of the `targets` (N, K) more than chance makes any of so many.

    A product of two shows where neither tells anything alone (exclusive or).

    >>> draws = np.random.default_rng(0)
    >>> rows = draws.standard_normal((400, 6))
    >>> telling(rows, rows[:, [1]] * rows[:, [4]] + rows[:, [2]]).nonzero()[0].tolist()
    [1, 2, 4]
    """
    count, wide = rows.shape
    scores = normal_scores(rows)
    wanted = targets - targets.mean(0)
    wanted = wanted[:, wanted.std(0) > 0] / wanted.std(0)[wanted.std(0) > 0]
    squares = (scores**2 - 1) / np.sqrt(2)
    pairs = wide * (wide - 1) // 2 if wide <= MOST else 0
    tests = max(1, wanted.shape[1] * (2 * wide + pairs))
    bound = float(torch.special.ndtri(torch.tensor(1 - LEVEL / (2 * tests), dtype=torch.double)))
    root = np.sqrt(count)
    found = np.zeros(wide, dtype=bool)
    for each in wanted.T:
        for values in (scores, squares):
            found |= np.abs(values.T @ each) / root > bound
        if pairs:
            together = np.abs((scores * each[:, None]).T @ scores) / root > bound
            np.fill_diagonal(together, False)
            found |= together.any(0)
    return found
