"""The same steps on a batch as it is and on the batch standardised: does its scale do harm?"""

from __future__ import annotations

import copy
import math
import time

import torch
from torch import Tensor

from netwright.doctor.patient import Patient, Sample
from netwright.doctor.quiet import strange_hooks
from netwright.optim.untouched import untouched
from netwright.records.facts.first_layer import ScaleTrial

STEPS = 30
FEWEST = 8
"""Steps below which a trial says nothing."""

SECONDS = 1.2
"""For both trials together."""

LAST = 3
"""The end of a trial is the least loss of so many last steps."""


def scale_trial(patient: Patient) -> ScaleTrial | None:
    """Fit the first batch with the patient's own optimizers, then the same batch with every
    channel (or feature) at mean 0 and variance 1; the network is put back afterwards.

    None where the batch cannot be replaced, or where time allows too few steps.
    """
    sample = patient.sample
    if sample is None or len(patient.optimizers) != 1 or strange_hooks(patient.model):
        return None
    batch = next((each for each in sample.inputs if each.is_floating_point()), None)
    if batch is None or batch.ndim < 2 or len(batch) < 2:
        return None
    began = time.perf_counter()
    raw = _fit(patient, sample, batch, batch, STEPS, began + SECONDS / 2)
    if len(raw) < FEWEST:
        return None
    scaled = _fit(patient, sample, batch, standardised(batch), len(raw), began + 2 * SECONDS)
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


def _fit(
    patient: Patient, sample: Sample, batch: Tensor, instead: Tensor, steps: int, until: float
) -> list[float]:
    """The loss before each of `steps` steps, infinity where it is not finite."""
    losses: list[float] = []
    with untouched(patient.model), torch.enable_grad():
        held = patient.optimizers[0]
        # A copy of the optimizer over the parameters themselves, with none of its hooks.
        same = {id(p): p for group in held.param_groups for p in group["params"]}
        optimizer = copy.deepcopy(held, memo=dict(same))
        for _ in range(steps):
            sample.random.restore()
            optimizer.zero_grad()
            with sample.surroundings.again():
                loss = sample.objective.again({id(batch): instead})
            value = float(loss.detach()) / sample.scale
            losses.append(value if math.isfinite(value) else math.inf)
            if losses[-1] == math.inf:
                return losses + [math.inf] * (steps - len(losses))
            loss.backward()
            optimizer.step()
            if time.perf_counter() > until:
                break
    return losses
