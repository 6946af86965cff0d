"""Whether batches come, how much of the data never does, and how the labels are mixed in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netwright.doctor.data.feeding import mixing, within
from netwright.doctor.data.reading import split_of
from netwright.doctor.data.shrinking import Matrix
from netwright.doctor.data.split import Indices, Split
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.records.facts.feed import Feed


@PROBES.register("feed", order=3, needs=("train",), cost="0F")
def feed(patient: Patient) -> Iterator[Feed]:
    """One pass over the training data, as far as a bound of time allows."""
    source, split = patient.train, split_of(patient, "train")
    if source is None or split is None:
        return
    if not split.batches and patient.samples:
        return  # batches do come, of a kind that cannot be read here
    yield Feed(
        batches=len(split.batches),
        batch=source.batch or max(split.batches, default=None),
        read=split.seen,
        complete=split.complete,
        samples=source.samples,
        dropped=source.dropped,
        shuffled=source.shuffled,
        **patient.of_data("mixing", lambda: _mixing(split)),
    )


def _mixing(split: Split) -> dict[str, Any]:
    """Of the labels, where targets are classes and there are several batches."""
    labels, numbers = split.labels, split.numbers
    ends = np.cumsum(split.batches)[:-1]
    if labels is not None:
        return mixing(np.split(labels, ends))
    if numbers is None or not np.isfinite(numbers).all():
        return {}
    # Of several targets the one that is mixed least: data are sorted by one.
    columns = [np.split(eighths(each), ends) for each in numbers.T]
    if not columns or len(ends) < 1:
        return {}
    found: dict[str, Any] = mixing(min(columns, key=within))
    return {**found, "binned": True} if found else {}


def eighths(numbers: Matrix) -> Indices:
    """(N,): in which eighth of all values each one is."""
    edges = np.quantile(numbers, np.linspace(0, 1, 9)[1:-1])
    return np.searchsorted(edges, numbers, side="right").astype(np.int64)
