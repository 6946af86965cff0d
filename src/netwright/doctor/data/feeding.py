"""How well the labels are mixed in the order they are fed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Indices = np.ndarray[Any, np.dtype[np.int64]]

BATCHES = 300
"""Batches whose labels are compared: the first of the pass."""

FEWEST = 6
"""Batches below which there is no order to speak of."""


def entropy(labels: Indices) -> float:
    """Of the shares of the distinct labels, in nats.

    >>> round(entropy(np.array([0, 1, 0, 1])), 4)
    0.6931
    """
    if not len(labels):
        return 0.0
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(-(shares * np.log(shares)).sum()) + 0.0


def within(parts: list[Indices]) -> float:
    """Mean entropy of the labels of a batch."""
    return float(np.mean([entropy(each) for each in parts]))


def dealt(parts: list[Indices], *, rounds: int = 5) -> list[list[Indices]]:
    """The same labels in batches of the same sizes, dealt out anew each round (by a generator of
    its own)."""
    draws = np.random.default_rng(0)
    ends = np.cumsum([len(each) for each in parts])[:-1]
    labels = np.concatenate(parts)
    return [np.split(draws.permutation(labels), ends) for _ in range(rounds)]


def longest_run(labels: Indices) -> int:
    """Equal labels in a row, at the most.

    >>> longest_run(np.array([1, 1, 2, 2, 2, 1]))
    3
    """
    if not len(labels):
        return 0
    changes = np.flatnonzero(np.diff(labels)) + 1
    return int(np.diff(np.concatenate(([0], changes, [len(labels)]))).max())


def longest_alone(parts: list[Indices]) -> int:
    """Batches in a row that hold one and the same single class."""
    only = [
        int(each[0]) if len(set(each.tolist())) == 1 else -1 - n for n, each in enumerate(parts)
    ]
    runs = longest_run(np.asarray(only, dtype=np.int64))
    return runs if any(each >= 0 for each in only) else 0


def carried(parts: list[Indices], prior: float = 1.0) -> float:
    """The loss, in nats a sample, of guessing the labels of each batch by the shares of the one
    before it, no input looked at; `prior` samples of every class are added to the shares."""
    classes = np.unique(np.concatenate(parts))
    weight = prior / len(classes)
    losses = []
    for before, after in itertools.pairwise(parts):
        counts = (before[:, None] == classes).sum(0) + weight
        shares = counts / counts.sum()
        losses.append(-np.log(shares[np.searchsorted(classes, after)]).mean())
    return float(np.mean(losses)) if losses else 0.0


def mixing(parts: list[Indices]) -> dict[str, float | int]:
    """The fields of a `Feed` that tell how the labels are mixed; empty for too few batches."""
    parts = [each for each in parts if len(each)][:BATCHES]
    if len(parts) < FEWEST:
        return {}
    mixed, labels = dealt(parts), np.concatenate(parts)
    return {
        "compared": len(parts),
        "classes": len(np.unique(labels)),
        "within_entropy": within(parts),
        "expected_entropy": float(np.mean([within(each) for each in mixed])),
        "carried_loss": carried(parts),
        "expected_loss": float(np.mean([carried(each) for each in mixed])),
        "longest_run": longest_run(labels),
        "expected_run": float(np.mean([longest_run(np.concatenate(each)) for each in mixed])),
        "longest_alone": longest_alone(parts),
    }
