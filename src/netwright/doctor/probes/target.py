"""Whether the scale of a regression's targets does harm: the same steps with and without it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.doctor.data.scale_trial import FEWEST, SECONDS, STEPS, steps_on
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.target_trial import TargetTrial

SUSPECT = 5.0
"""Size of the targets from which on the trial is worth its time, and how many times the output's
spread: half of what `unscaled-target` calls off."""

APART = 10.0
"""Or how many times as wide as another one a target is."""


@PROBES.register("target", order=8, needs=("sample",), cost="60S where it is off")
def target(patient: Patient) -> Iterator[TargetTrial]:
    """The first batch is fitted on a copy with the targets as they are, then with each at mean 0
    and variance 1."""
    sample = patient.sample
    assert sample is not None
    call, truth, output = sample.loss_call, sample.target, sample.output
    if call is None or call.name != "mse_loss" or truth is None or output is None:
        return
    if len(patient.optimizers) != 1 or not truth.is_floating_point() or truth.ndim not in (1, 2):
        return
    if truth.shape != output.shape or len(truth) < 8:
        return
    mean, spread = _moments(truth)
    there = spread > 0
    if not bool(there.any()):
        return
    size = float(torch.maximum(spread, mean.abs()).max())
    own = float(output.detach().float().std())
    least, most = float(spread[there].min()), float(spread.max())
    if not (size > SUSPECT * max(own, 1.0) or most > APART * least):
        return
    try:
        found = _tried(patient, truth, (truth - mean) / torch.where(there, spread, 1.0))
    except NoTwinError:
        return
    if found is not None:
        steps, raw, scaled = found
        yield TargetTrial(
            steps=steps,
            raw=raw,
            scaled=scaled,
            targets=spread.numel(),
            std_least=least,
            std_most=most,
        )


def _moments(truth: Tensor) -> tuple[Tensor, Tensor]:
    values = truth.detach()
    return values.mean(0, keepdim=True), values.std(0, correction=0, keepdim=True)


def _tried(patient: Patient, truth: Tensor, scaled: Tensor) -> tuple[int, float, float] | None:
    """Steps, and what each of the two trials leaves unexplained."""
    sample = patient.sample
    assert sample is not None
    twin = Twin(patient, sample)
    left: list[float] = []
    steps = STEPS
    with twin:
        if not twin.parameters or not twin.agrees():
            return None
        for instead, seconds in ((truth, SECONDS), (scaled, 4 * SECONDS)):
            with twin.returning():
                optimizer = twin.optimizer(patient.optimizers[0], 1.0)
                losses = steps_on(twin, optimizer, truth, instead, steps, seconds)
                if len(losses) < (FEWEST if instead is truth else steps):
                    return None
                steps = len(losses)
                left.append(_unexplained(twin, truth, instead, losses))
    return steps, left[0], left[1]


def _unexplained(twin: Twin, truth: Tensor, instead: Tensor, losses: list[float]) -> float:
    """The errors of all targets at the end, from the slope of the squared loss in the targets."""
    if not math.isfinite(losses[-1]):
        return math.inf
    given = instead.detach().clone().requires_grad_()
    loss = twin.loss({id(truth): given})
    (slope,) = torch.autograd.grad(loss, given, allow_unused=True)
    if slope is None:
        raise NoTwinError("the loss does not know these targets")
    # A loss of k (output - target)^2 has the slope 2 k (target - output) and the value k sum(..).
    share = float(loss.detach()) / max(float(slope.square().sum()), 1e-30)
    error = slope.square() * 4 * share**2
    spread = instead.detach().square().mean(0) - instead.detach().mean(0).square()
    there = spread > 0
    return float((error.mean(0)[there] / spread[there]).mean())
