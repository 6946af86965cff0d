"""The same steps on a batch as it is and on the batch standardised: does its scale do harm?"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor
from torch.optim import Optimizer

from netwright.doctor.deadline import STEP
from netwright.doctor.part import light
from netwright.doctor.patient import Patient
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.first_layer import ScaleTrial

STEPS = 30
FEWEST = 8
"""Steps below which a trial says nothing."""

SECONDS = 0.6
"""For the trial on the batch as it is; the other one takes as many steps."""

LAST = 3
"""The end of a trial is the least loss of so many last steps."""


def scale_trial(patient: Patient) -> ScaleTrial | None:
    """Fit the first batch on a copy with the patient's own kind of optimizer, then the same batch
    with every channel (or feature) at mean 0 and variance 1.

    None where the batch cannot be replaced or the network copied, or where time allows too few
    steps.
    """
    if patient.sample is None or len(patient.optimizers) != 1:
        return None
    sample, whole = light(patient), patient.sample.size
    step = patient.deadline.passes(STEP * sample.size / max(1, whole))
    if not patient.deadline.affords(2 * FEWEST * step) or FEWEST * step > 2 * SECONDS:
        patient.deadline.leave_out("steps", 0, STEPS)
        return None
    batch = next((each for each in sample.inputs if each.is_floating_point()), None)
    if batch is None or batch.ndim < 2 or len(batch) < 2:
        return None
    try:
        twin = Twin(patient, sample)
        with twin:
            if not twin.parameters or not twin.agrees():
                return None
            original = patient.optimizers[0]
            with twin.returning():
                raw = steps_on(twin, twin.optimizer(original, 1.0), batch, batch, STEPS, SECONDS)
            if len(raw) < FEWEST:
                return None
            instead = standardised(batch)
            scaled = steps_on(
                twin, twin.optimizer(original, 1.0), batch, instead, len(raw), 4 * SECONDS
            )
    except NoTwinError:
        return None
    if len(scaled) < len(raw):
        return None
    return ScaleTrial(
        steps=len(raw) - 1,
        raw_start=raw[0],
        raw_end=min(raw[-LAST:]),
        scaled_start=scaled[0],
        scaled_end=min(scaled[-LAST:]),
    )


def standardised(batch: Tensor) -> Tensor:
    """Every channel of images (N, C, H, W), every last number of anything else, at mean 0 and
    variance 1; what does not vary is 0.

    >>> standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    values = batch.detach().float()
    dims = tuple(
        each for each in range(batch.ndim) if each != (1 if batch.ndim == 4 else batch.ndim - 1)
    )
    mean = values.mean(dims, keepdim=True)
    spread = values.std(dims, correction=0, keepdim=True)
    return ((values - mean) / torch.where(spread > 0, spread, 1.0)).to(batch.dtype)


def steps_on(
    twin: Twin, optimizer: Optimizer, batch: Tensor, instead: Tensor, steps: int, seconds: float
) -> list[float]:
    """The loss before each of `steps` steps, infinity where it is not finite."""
    began = time.perf_counter()
    held = [each for group in optimizer.param_groups for each in group["params"]]
    losses: list[float] = []
    inner: list[float] = []

    def closure() -> Tensor:
        loss = twin.loss({id(batch): instead})
        grads = torch.autograd.grad(loss, held, allow_unused=True)
        for each, gradient in zip(held, grads, strict=True):
            each.grad = gradient
        inner.append(float(loss.detach()))
        return loss.detach()

    twin.begin()
    while len(losses) < steps and time.perf_counter() - began < seconds:
        inner.clear()
        optimizer.step(closure)  # type: ignore[arg-type]
        if not math.isfinite(inner[0]):
            return losses + [math.inf] * (steps - len(losses))
        losses.append(inner[0])
    return losses
