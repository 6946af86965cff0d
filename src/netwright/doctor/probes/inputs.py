"""What the training inputs are like: finite, different from one another, alive in every feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from netwright.doctor.data.feeding import entropy
from netwright.doctor.data.reading import split_of
from netwright.doctor.data.shrinking import Matrix, channels_first
from netwright.doctor.data.split import Split
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.quiet import hushed
from netwright.doctor.twin import _bare
from netwright.doctor.unfolding import faithful
from netwright.records.facts.inputs import Inputs

FIRST = 12
"""Samples or features that are named."""


@PROBES.register("inputs", order=4, cost="1F")
def inputs(patient: Patient) -> Iterator[Inputs]:
    """Counts over every sample that can be read within a bound of time."""
    split = split_of(patient, "train")
    if split is None or not split.seen:
        return
    val = split_of(patient, "val")
    labels = split.labels
    yield Inputs(
        kind=split.kind,
        shape=split.shape,
        dtype=split.dtype,
        samples=split.seen,
        total=split.total,
        numbers=int(np.prod(split.shape, dtype=int)),
        low=split.low if np.isfinite(split.low) else None,
        high=split.high if np.isfinite(split.high) else None,
        classes=None if labels is None else len(np.unique(labels)),
        label_entropy=None if labels is None else entropy(labels),
        sparse=most_frequent(split.features),
        sparse_distinct=most_frequent(np.unique(split.features, axis=0)),
        **_repeats(split),
        **_dead(patient, split),
        **_awake(split, val),
        **_bad(patient, split, val),
    )


def most_frequent(rows: Matrix) -> float:
    """The share of its most frequent value in the median feature of (N, D).

    >>> most_frequent(np.array([[0.0, 1.0], [0.0, 2.0], [5.0, 3.0]]))
    0.5
    """
    if not len(rows):
        return 0.0
    return float(np.median([each.max() / len(rows) for each in counts_of(rows)]))


def counts_of(rows: Matrix) -> list[Any]:
    """How often each distinct value of each feature occurs."""
    return [np.unique(column, return_counts=True)[1] for column in rows.T]


def _repeats(split: Split) -> dict[str, Any]:
    """Samples that are bit for bit an earlier one, and whether their labels differ."""
    if len(split.fingerprints) != split.seen:
        return {}
    labels = split.labels
    first: dict[int, int] = {}
    pairs, repeats, conflicts = [], 0, 0
    for sample, each in enumerate(split.fingerprints):
        earlier = first.setdefault(each, sample)
        if earlier != sample:
            repeats += 1
            pairs.append((earlier, sample))
            conflicts += labels is not None and labels[earlier] != labels[sample]
    return {
        "distinct": len(first),
        "repeats": repeats,
        "repeated_pairs": tuple(pairs[:FIRST]),
        "conflicts": int(conflicts),
    }


def _dead(patient: Patient, split: Split) -> dict[str, Any]:
    least, most = split.least, split.most
    if least is None or most is None or split.seen < 2:
        return {}
    still = least == most
    found = still.reshape(-1).nonzero()[:, 0]
    channels: tuple[int, ...] = ()
    if split.kind == "image":
        low, high = channels_first(least[None])[0], channels_first(most[None])[0]
        same = low.flatten(1).amin(1) == high.flatten(1).amax(1)
        channels = tuple(same.nonzero()[:, 0].tolist())
    # A second input that differs from sample to sample carries what the first does not.
    others = [each for sample in patient.samples for each in sample.inputs[1:] if each.ndim]
    varied = any(bool((each != each[:1]).any()) for each in others if each.numel())
    return {
        "same_on_all": bool(still.all()) and not varied,
        "dead": len(found),
        "dead_first": tuple(found[:FIRST].tolist()),
        "dead_channels": channels,
    }


def _awake(split: Split, val: Split | None) -> dict[str, Any]:
    """Features (of tables) that stand still in training and move in validation."""
    if val is None or split.kind != "features" or val.kind != "features":
        return {}
    train, other = split.features, val.features
    if not len(train) or not len(other) or train.shape[1] != other.shape[1]:
        return {}
    width = split.least.numel() if split.least is not None else 0
    if width != train.shape[1]:  # an even choice of the features: too few to say
        return {}
    still = (train == train[0]).all(0)
    moves = (other != train[0]).mean(0) * still
    found = np.flatnonzero(moves)
    return {
        "awake": len(found),
        "awake_first": tuple(int(each) for each in found[:FIRST]),
        "awake_share": float(moves.max(initial=0.0)),
    }


def _bad(patient: Patient, split: Split, val: Split | None) -> dict[str, Any]:
    fed = [each for sample in patient.samples for each in sample.inputs]
    return {
        "bad_inputs": len(split.bad_inputs),
        "bad_first": _rows(patient, split.bad_inputs),
        "bad_validation": 0 if val is None else len(val.bad_inputs),
        "bad_targets": len(split.bad_targets),
        "bad_targets_first": _rows(patient, split.bad_targets),
        "bad_fed": any(e.is_floating_point() and not bool(e.isfinite().all()) for e in fed),
        "bad_output": _bad_output(patient, split),
    }


def _rows(patient: Patient, places: Sequence[int]) -> tuple[int, ...]:
    """The first of them as the caller numbers his samples."""
    source = patient.train
    if source is None or source.rows is None or not places:
        return tuple(places[:FIRST])
    rows = source.rows()
    return tuple(sorted(rows[each] for each in places)[:FIRST])


def _bad_output(patient: Patient, split: Split) -> bool | None:
    """What the network makes of a sample with such a value, put in place of one of its batch."""
    sample, example = patient.sample, split.bad_example
    if sample is None or example is None or not sample.inputs or not faithful(patient):
        return None
    batch = sample.inputs[0]
    if batch.shape[1:] != example.shape or not batch.is_floating_point():
        return None
    call = sample.objective.modules[0]
    spoiled = batch.detach().clone()
    spoiled[0] = example.to(spoiled)
    args = tuple(spoiled if each is batch else each for each in call.args)
    if all(each is not spoiled for each in args):
        return None
    if not patient.deadline.affords(patient.deadline.passes(1)):
        patient.deadline.leave_out("passes")
        return None
    with hushed(patient.model, begin=sample.random), sample.surroundings.again(), torch.no_grad():
        output = _bare(call.run)(*args, **call.kwargs)
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        return None
    return not bool(output.isfinite().all())
