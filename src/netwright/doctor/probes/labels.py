"""Which labels the training set holds, or else the first batch."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.reading import bound
from netwright.records.facts.labels import Labels

MOST = 50_000
"""Labels that are read at the most; more do not change a share by much."""

SECONDS = 1.5
"""Time that reading them may take: a loader may have to decode its images for it."""

DISTINCT = 4096
OVER_CLASSES = ("cross_entropy", "nll_loss", "multi_margin_loss")
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


@PROBES.register("labels", order=3, needs=("sample",), cost="0F")
def labels(patient: Patient) -> Iterator[Labels]:
    """How often each label comes, of losses over classes and of binary ones."""
    sample = patient.sample
    assert sample is not None
    kind = sample.loss_call.name if sample.loss_call is not None else ""
    target, output = sample.target, sample.output
    if target is None or output is None or not target.ndim:
        return
    one_unit = output.numel() == target.numel() and (output.ndim < 2 or output.shape[1] == 1)
    binary = kind in BINARY and one_unit
    picked = kind in OVER_CLASSES or (not kind and not target.is_floating_point())
    if not binary and not (picked and not target.is_floating_point()):
        return
    ignored = bound(sample.loss_call).get("ignore_index", -100) if sample.loss_call else -100
    read, complete = _of_training(patient, target)
    source = "train" if read else "batch"
    flat = torch.cat([each.reshape(-1).double() for each in (read or [target.detach()])])
    flat = flat[flat != ignored] if not binary else flat
    if not flat.numel() or not bool(flat.isfinite().all()) or bool((flat != flat.round()).any()):
        return
    values, counts = flat.unique(return_counts=True)
    if len(values) > DISTINCT:
        return
    yield Labels(
        source=source,  # type: ignore[arg-type]
        values=tuple(int(each) for each in values),
        counts=tuple(int(each) for each in counts),
        classes=2 if binary else _room(sample),
        binary=binary,
        batch=target.numel(),
        complete=complete,
        places=target.ndim > 1 and not binary,
    )


def _room(sample: Sample) -> int | None:
    output = sample.output
    return output.shape[1] if output is not None and output.ndim > 1 else None


def _of_training(patient: Patient, like: Tensor) -> tuple[list[Tensor], bool]:
    """Targets of the training set, as far as time and number allow, and whether that is all."""
    if patient.train is None:
        return [], False
    began, found, count = time.perf_counter(), [], 0
    seconds = min(SECONDS, patient.deadline.left)
    for _, target in patient.train.batches():
        if target is None or not target.ndim:
            return [], False
        if target.shape[1:] != like.shape[1:] and target.numel() != len(target):
            return [], False
        found.append(target.detach().cpu())
        count += target.numel()
        if count >= MOST or time.perf_counter() - began > seconds:
            return found, count == (patient.train.samples or -1)
    return found, True
