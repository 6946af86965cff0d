"""The gradient noise scale at the start, from the quarters of the first batch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.twin import NoTwinError, Twin, real
from netwright.records.facts.noise import GradientNoise

PARTS = 4


@PROBES.register("noise", order=40, needs=("sample",), cost="4(1F+1B)/4")
def noise(patient: Patient) -> Iterator[GradientNoise]:
    """Four gradients, each of a quarter of the batch, and that of their mean."""
    sample = patient.sample
    assert sample is not None
    size = sample.size - sample.size % PARTS
    target = sample.target
    if size < 2 * PARTS or target is None or target.ndim == 0 or len(target) != sample.size:
        return
    if any(each.ndim == 0 or len(each) != sample.size for each in sample.inputs):
        return
    if not patient.deadline.affords(patient.deadline.passes(1 + STEP)):
        patient.deadline.leave_out("gradients", 0, PARTS)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    with twin:
        if not twin.parameters or not twin.agrees():
            return
        weights = list(twin.parameters.values())
        rows = []
        for part in torch.arange(size).chunk(PARTS):
            cut = slice(int(part[0]), int(part[-1]) + 1)
            given = {id(each): each[cut] for each in (*sample.inputs, target)}
            twin.begin()
            try:
                loss = twin.loss(given)
            except (RuntimeError, ValueError, IndexError, TypeError):
                return  # the loss knows the size of the batch by other ways
            found = torch.autograd.grad(loss, weights, allow_unused=True)
            rows.append(_flat([g for g in found if g is not None]))
    if len({len(each) for each in rows}) != 1 or not len(rows[0]):
        return
    parts = torch.stack(rows)
    whole = float(parts.mean(0).square().sum())
    each_part = float(parts.square().sum(1).mean())
    if not math.isfinite(whole + each_part) or each_part == 0:
        return
    small = size / PARTS
    signal = (size * whole - small * each_part) / (size - small)
    spread = (each_part - whole) / (1 / small - 1 / size)
    norms = parts.norm(dim=1)
    cosines = [
        float(parts[i] @ parts[j] / (norms[i] * norms[j]).clamp_min(1e-30))
        for i, j in itertools.combinations(range(PARTS), 2)
    ]
    yield GradientNoise(
        batch=sample.size,
        scale=max(0.0, spread) / signal if signal > 0 else math.inf,
        cosine=sum(cosines) / len(cosines),
    )


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([real(each).float().reshape(-1) for each in tensors])
