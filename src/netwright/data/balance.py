"""Balanced sampling: small classes repeated until each is seen as often as the largest.

Oversampling, not weighting: the loss stays as it is and batches are balanced on average. Each
image of a class of n is drawn floor(m / n) or ceil(m / n) times in an epoch, where m is the size
of the largest class, so nothing of the largest is left out. (Buda, Maki and Mazurowski 2018, "A
systematic study of the class imbalance problem in convolutional neural networks".)
"""

from __future__ import annotations

import numpy as np

from netwright.core.keyed import bits, permutation
from netwright.data.dataset import Int64Array


def balanced_draws(labels: Int64Array) -> int:
    """How many draws a balanced epoch has: classes that occur times the largest of them.

    >>> balanced_draws(np.array([0, 0, 0, 2]))
    6
    """
    counts = np.bincount(labels)
    return int((counts > 0).sum() * counts.max(initial=0))


def balanced_order(labels: Int64Array, seed: int, epoch: int) -> Int64Array:
    """The draws of one epoch, a function of (labels, seed, epoch) alone.

    Draw `d` is of image `d % len(labels)`, for the `d // len(labels)`-th time (from 0).

    >>> order = balanced_order(np.array([0, 0, 0, 2]), seed=1, epoch=0)
    >>> sorted(order.tolist())
    [0, 1, 2, 3, 7, 11]
    """
    largest = np.bincount(labels).max(initial=0)
    draws: list[Int64Array] = []
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        times = -(-largest // len(members))
        candidates = (np.arange(times)[:, None] * len(labels) + members).reshape(-1)
        # Whole rounds first; who is drawn once more in the last one is left to the key.
        rounds = np.repeat(np.arange(times), len(members))
        drawn = np.lexsort((bits(candidates, "balance", seed, epoch), rounds))[:largest]
        draws.append(candidates[drawn])
    every = np.concatenate(draws) if draws else np.empty(0, np.int64)
    return every[permutation(len(every), "balance", seed, epoch)]
