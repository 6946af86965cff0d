"""Principal components: the few directions along which samples differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Components:
    """`directions` (D, K) are orthonormal, the one with the largest variance first."""

    mean: Matrix
    directions: Matrix

    def of(self, rows: Matrix) -> Matrix:
        """(N, D) to (N, K)."""
        return (rows - self.mean) @ self.directions


def principal(rows: Matrix, count: int = 32) -> Components:
    """The first `count` principal components of the rows of (N, D), fewer where there are fewer.

    They are the eigenvectors of the covariance: D is a few hundred here, so that the D x D matrix
    is cheaper than a decomposition of all samples.

    >>> rows = np.array([[0.0, 0.0], [2.0, 0.1], [4.0, -0.1]])
    >>> abs(principal(rows, 1).directions).round(1).T.tolist()
    [[1.0, 0.0]]
    """
    mean = rows.mean(0)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-values)[: min(count, max(1, len(rows) - 1))]
    chosen = vectors[:, order]
    # The sign is free: the largest entry is made positive, so that a fact reads the same again.
    signs = np.sign(chosen[np.abs(chosen).argmax(0), np.arange(chosen.shape[1])])
    return Components(mean, chosen * np.where(signs == 0, 1, signs))
