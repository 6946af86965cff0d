"""Whether the gradient of the loop is that of its loss, where somebody wrote a backward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from netwright.doctor.part import light
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.reach import reached_from
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.downhill import Downhill

FALL = 0.01
"""Of the loss: what the gradient promises that a step takes off."""


@PROBES.register("downhill", order=22, needs=("sample", "optimizers"), cost="5F+1B, own functions")
def downhill(patient: Patient) -> Iterator[Downhill]:
    """Steps up and down the gradient on a copy, so small that the loss is straight between them.
    Torch's own functions need no such look: only where another one is on the way."""
    sample = patient.sample
    assert sample is not None
    loss = sample.objective.loss
    if not loss.requires_grad or not sample.objective.modules or not reached_from(loss)[1]:
        return
    try:
        twin = Twin(patient, light(patient))
    except NoTwinError:
        return
    with twin:
        if not twin.parameters or not twin.agrees():
            return
        weights = list(twin.parameters.values())
        twin.begin()
        value = twin.loss()
        given = torch.autograd.grad(value, weights, allow_unused=True)
        slopes = [
            torch.zeros_like(w) if g is None else g for w, g in zip(weights, given, strict=True)
        ]
        steep = float(sum(each.float().square().sum() for each in slopes))
        size = abs(float(value.detach()))
        if not math.isfinite(steep) or steep <= 0 or size <= 0:
            return
        found = [_slope(twin, weights, slopes, part * FALL * size / steep) for part in (1.0, 0.1)]
    if all(math.isfinite(each) for each in found):
        yield Downhill(slope=found[0] / steep, slope_nearer=found[1] / steep)


def _slope(
    twin: Twin, weights: list[torch.Tensor], slopes: list[torch.Tensor], length: float
) -> float:
    """Of the loss along `slopes`, by its values on both sides."""
    ends = []
    for way in (length, -length):
        with twin.returning(), torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.add_(slope, alpha=way)
            twin.begin()
            ends.append(float(twin.loss().detach().double()))
    return (ends[0] - ends[1]) / (2 * length)
