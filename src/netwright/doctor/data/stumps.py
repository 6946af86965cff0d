"""How far a single feature goes on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netwright.doctor.data.shrinking import Matrix

Indices = np.ndarray[Any, np.dtype[np.int64]]

BINS = 32
GROUP = 16
"""Features about as good as the best one that are listed."""

OVERALL: dict[str, Callable[[Matrix], Matrix]] = {
    "mean": lambda rows: rows.mean(1),
    "spread": lambda rows: rows.std(1),
    "largest": lambda rows: rows.max(1),
}
"""Numbers made of all features of a sample, that a factor on the sample multiplies."""

CLOSE = 0.1
"""How far behind the best one a feature may be to count as about as good."""


def alone(rows: Matrix, labels: Indices) -> dict[str, Any]:
    """The feature of (N, D) that names the labels best by itself, by a table of `BINS` steps that
    is filled from one half of the samples and read with the other."""
    if rows.shape[1] < 2:
        return {"features": rows.shape[1]}
    scores = [score_of(column, labels) for column in rows.T]
    best = int(np.argmax(scores))
    others = [each for each in scores if each < scores[best] - CLOSE]
    return {
        "features": rows.shape[1],
        "alone": best,
        "alone_score": scores[best],
        "alone_close": len(scores) - len(others),
        "alone_group": tuple(
            place for place, each in enumerate(scores) if each >= scores[best] - CLOSE
        )[:GROUP],
        "alone_rest": max(others, default=None),
    }


def overall(rows: Matrix, labels: Indices) -> dict[str, Any]:
    """The same of one number that is made of all features of a sample."""
    if not len(rows) or (rows.std(0) <= 0).all():
        return {}
    scores = {name: score_of(of(rows), labels) for name, of in OVERALL.items()}
    best = max(scores, key=lambda name: scores[name])
    return {"overall": best, "overall_score": scores[best]}


def score_of(values: Matrix, labels: Indices) -> float:
    """Share of the samples named rightly by the bin that their value falls in, held out.

    >>> score_of(np.arange(100.0), (np.arange(100) > 49).astype(int)) > 0.9
    True
    """
    distinct, codes = np.unique(labels, return_inverse=True)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    right = 0
    for turn in (0, 1):
        table = np.zeros((len(edges) + 1, len(distinct)))
        np.add.at(table, (bins[turn::2], codes[turn::2]), 1)
        right += int((table.argmax(1)[bins[1 - turn :: 2]] == codes[1 - turn :: 2]).sum())
    return right / len(values)
