"""Whether batches come, how much of the data never does, and how the labels are mixed in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netwright.doctor.data.feeding import dealt, longest_alone, longest_run, overlap, within
from netwright.doctor.data.reading import split_of
from netwright.doctor.data.split import Split
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.records.facts.feed import Feed

BATCHES = 400
"""Batches whose labels are compared: the first of the pass."""


@PROBES.register("feed", order=3, needs=("train",), cost="0F")
def feed(patient: Patient) -> Iterator[Feed]:
    """One pass over the training data, as far as a bound of time allows."""
    source, split = patient.train, split_of(patient, "train")
    if source is None or split is None:
        return
    yield Feed(
        batches=len(split.batches),
        batch=source.batch or max(split.batches, default=None),
        read=split.seen,
        complete=split.complete,
        samples=source.samples,
        dropped=source.dropped,
        shuffled=source.shuffled,
        **_mixing(split),
    )


def _mixing(split: Split) -> dict[str, float | int]:
    """Of the labels, where targets are classes and there are several batches."""
    labels = split.labels
    if labels is None or len(split.batches) < 4:
        return {}
    sizes = split.batches[:BATCHES]
    labels = labels[: sum(sizes)]
    parts = np.split(labels, np.cumsum(sizes)[:-1])
    mixed = dealt(parts)
    return {
        "classes": len(np.unique(labels)),
        "within_entropy": within(parts),
        "expected_entropy": float(np.mean([within(each) for each in mixed])),
        "overlap": overlap(parts),
        "expected_overlap": float(np.mean([overlap(each) for each in mixed])),
        "longest_run": longest_run(labels),
        "expected_run": float(np.mean([longest_run(np.concatenate(each)) for each in mixed])),
        "longest_alone": longest_alone(parts),
    }
