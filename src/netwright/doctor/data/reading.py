"""Reading a patient's data once, within a bound of time, for all the probes that look at it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from netwright.doctor.data.split import Split
from netwright.doctor.patient import Patient, Source, first_tensor
from netwright.doctor.quiet import RandomState

SECONDS = {"train": 0.7, "val": 0.4}
"""What reading a split may take; the batch that is under way then is still read."""

_read: weakref.WeakKeyDictionary[Patient, dict[str, tuple[Any, Split | None]]] = (
    weakref.WeakKeyDictionary()
)


def split_of(patient: Patient, name: str) -> Split | None:
    """The training or the validation data ("train", "val"): of its source, read once; for training
    without a source the batches that came by. None where there is nothing."""
    source = patient.train if name == "train" else patient.val
    kept = _read.setdefault(patient, {})
    known, found = kept.get(name, (None, None))
    if found is None or known is not source:
        seconds = min(SECONDS[name], patient.deadline.left)
        found = None if source is None else read(source, name, seconds)
        kept[name] = (source, found)
    if found is None and name == "train" and patient.samples:
        return came_by(patient)
    return found


def read(source: Source, name: str, seconds: float) -> Split:
    """The batches of `source`, from the beginning, as many as `seconds` allow; no random state of
    the run is changed."""
    split = Split(name, total=source.samples)
    state = RandomState()
    began = time.perf_counter()
    try:
        batches = iter(source.batches())
        while True:
            batch = next(batches, None)
            if batch is None:
                split.complete = True
                break
            inputs, target = _pair(batch)
            if inputs is not None:
                split.add(inputs, target)
            if time.perf_counter() - began > seconds:
                break
        _close(batches)
    finally:
        state.restore()
    return split


def forget(patient: Patient) -> None:
    """What was read of its data is needed no more."""
    _read.pop(patient, None)


def first_batch(source: Source) -> Tensor | None:
    """The inputs of the first batch; no random state of the run is changed."""
    state = RandomState()
    try:
        batches = iter(source.batches())
        batch = next(batches, None)
        _close(batches)
    finally:
        state.restore()
    return None if batch is None else _pair(batch)[0]


def came_by(patient: Patient) -> Split:
    """The first batches of the loop, as the model got them."""
    split = Split("train", total=patient.setup.train_samples)
    for each in patient.samples:
        if each.inputs:
            split.add(each.inputs[0], each.target)
    return split


def _pair(batch: Any) -> tuple[Tensor | None, Tensor | None]:
    """(inputs, target), whatever nests them."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return first_tensor(batch[0]), first_tensor(batch[1])
    return first_tensor(batch), None


def _close(batches: Iterable[Any]) -> None:
    """End a generator that was not used up; workers of a loader end with it."""
    close = getattr(batches, "close", None)
    if close is not None:
        close()
