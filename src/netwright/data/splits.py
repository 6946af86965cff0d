"""Splits: seeded, stratified, the same on every machine.

A class gives each side its share by largest remainder (Hamilton's method), so the sizes add up
exactly; who goes where is a keyed permutation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.core.errors import DataError
from netwright.core.keyed import permutation
from netwright.data.checking import shortened
from netwright.data.dataset import Int64Array


def stratified(
    labels: Int64Array, share: float, classes: Sequence[str], *key: int | str
) -> tuple[Int64Array, Int64Array]:
    """Rows kept and rows held out, both ascending: `share` of every class is held out.

    Every class that occurs keeps at least one image on each side, so one image is too few:
    that raises `DataError` with the class and its count. `key` decides who goes.

    >>> kept, held = stratified(np.array([0, 0, 0, 1, 1, 1]), 1 / 3, ["a", "b"], 7)
    >>> len(kept), len(held)
    (4, 2)
    """
    counts = np.bincount(labels, minlength=len(classes))
    for number in np.flatnonzero(counts == 1).tolist():
        raise DataError(
            'Class "{label}" has {count} image: too few to split into training and validation.',
            hint="Add images of it, remove the class, or give a val/ split of your own.",
            label=shortened(classes[number]),
            count=1,
        )
    quotas = apportion(counts.tolist(), share)
    held: list[Int64Array] = []
    for each, quota in enumerate(quotas):
        members = np.flatnonzero(labels == each)
        held.append(members[permutation(len(members), "split", each, *key)[:quota]])
    out = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    kept = np.setdiff1d(np.arange(len(labels)), out, assume_unique=True)
    return kept, out


def apportion(counts: Sequence[int], share: float) -> list[int]:
    """How many of each class are held out: round(share * total) in all, by largest remainder,
    but at least one and never all of a class that has two or more.

    >>> apportion([50, 25, 25], 0.1), apportion([100, 2, 0], 0.1)
    ([5, 3, 2], [10, 1, 0])
    """
    exact = [count * share for count in counts]
    quotas = [int(each) for each in exact]
    left = round(sum(exact)) - sum(quotas)
    by_remainder = sorted(range(len(counts)), key=lambda i: (quotas[i] - exact[i], i))
    for number in by_remainder[:left]:
        quotas[number] += 1
    return [
        min(max(quota, 1), count - 1) if count > 1 else 0
        for quota, count in zip(quotas, counts, strict=True)
    ]
