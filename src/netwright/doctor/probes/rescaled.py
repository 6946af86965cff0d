"""What the same steps come to on standardised inputs: what their scale costs on other samples."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from netwright.doctor.data.scale_trial import standardised
from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.fit import constant_of
from netwright.doctor.probes.plain import rows_of
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.first_layer import FirstLayer
from netwright.records.facts.rescaled import Rescaled

STEPS = 150
LEAST = 60
"""Steps that each of the trainings gets at least, or nothing is tried."""

SECONDS = 0.7
"""What each training may take."""

PART = 0.3
"""The share of the time left that both of them may take."""

FEWEST = 200
"""Samples there must be, of which a quarter is learned from by nobody."""

SHOWN = 2.0
"""Times the loss of one batch standardised, above which that batch tells enough."""

OFF = (0.05, 20.0)
"""Of the first layer's output over its design: what `unscaled-input` calls off."""


@PROBES.register(
    "rescaled", order=24, needs=("sample", "optimizers"), cost="300S where the inputs look unscaled"
)
def rescaled(patient: Patient) -> Iterator[Rescaled]:
    """Where the first layer gets numbers of another size than it was made for, a copy learns from
    some batches as they are, and one from the same batches standardised. One batch can be learned
    by heart on any scale; other samples tell what was learned."""
    sample, first = patient.sample, patient.workings.get("first-layer")
    assert sample is not None
    if len(patient.optimizers) != 1 or patient.setup.special or len(sample.inputs) != 1:
        return
    if not isinstance(first, FirstLayer) or not _off(first):
        return
    target = sample.target
    if target is None or not target.ndim or len(target) != sample.size or patient.train is None:
        return
    if patient.deadline.passes(2 * STEP * LEAST) > PART * patient.deadline.left:
        patient.deadline.leave_out("steps", 0, STEPS)
        return
    try:
        twin = Twin(patient, sample)
        with twin:
            pairs = rows_of(patient) if twin.agrees() and twin.parameters else None
            if pairs is None or len(pairs[0]) < max(FEWEST, 3 * sample.size):
                return
            known, kept = _parted(pairs, sample.size)
            until = min(SECONDS, PART * patient.deadline.left / 2)
            with twin.returning():
                raw, steps = _unseen(twin, patient, known, kept, STEPS, until)
            if steps < LEAST:
                return
            whole = standardised(torch.cat((known[0], kept[0])))
            known, kept = (
                (whole[: len(known[0])], known[1]), (whole[len(known[0]) :], kept[1])
            )  # fmt: skip
            with twin.returning():
                scaled, _ = _unseen(twin, patient, known, kept, steps, math.inf)
    except (NoTwinError, RuntimeError, ValueError, IndexError, TypeError):
        return  # the loss knows the batch by other ways than by its inputs and its target
    yield Rescaled(
        as_is=raw, scaled=scaled, steps=steps, samples=len(kept[0]), guess=constant_of(sample)
    )


def _off(first: FirstLayer) -> bool:
    """By its output; a norm takes the scale out."""
    if first.normaliser or first.normalised_after or first.ratio is None:
        return False
    trial = first.trial
    if trial is not None and trial.raw_end > SHOWN * trial.scaled_end:
        return False  # one batch has shown it
    return not OFF[0] <= first.ratio <= OFF[1]


def _parted(
    pairs: tuple[Tensor, Tensor], size: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Samples to learn from, and whole batches that nobody learns from."""
    order = torch.randperm(len(pairs[0]), generator=torch.Generator().manual_seed(0))
    count = max(size, len(order) // 4 // size * size)
    kept, known = order[:count], order[count:]
    return (pairs[0][known], pairs[1][known]), (pairs[0][kept], pairs[1][kept])


def _unseen(
    twin: Twin,
    patient: Patient,
    known: tuple[Tensor, Tensor],
    kept: tuple[Tensor, Tensor],
    steps: int,
    seconds: float,
) -> tuple[float, int]:
    """The mean loss on the samples kept, infinite where a step was not finite, and the steps."""
    sample, draw = twin.sample, torch.Generator().manual_seed(1)
    optimizer = twin.optimizer(patient.optimizers[0], 1.0)
    held = [each for group in optimizer.param_groups for each in group["params"]]
    twin.begin()
    began, done = time.perf_counter(), 0
    while done < steps and time.perf_counter() - began < seconds:
        rows = torch.randperm(len(known[0]), generator=draw)[: sample.size]
        loss = twin.loss(_in_place(sample, known[0][rows], known[1][rows]))
        gradients = torch.autograd.grad(loss, held, allow_unused=True)
        for each, gradient in zip(held, gradients, strict=True):
            each.grad = gradient
        optimizer.step()
        done += 1
        if not math.isfinite(float(loss.detach())):
            return math.inf, steps
    twin.model.eval()
    with torch.no_grad():
        losses = [float(twin.loss(_in_place(sample, *each)).detach()) for each in
                  _batches(kept, sample.size)]  # fmt: skip
    return sum(losses) / len(losses), done


def _batches(pairs: tuple[Tensor, Tensor], size: int) -> Sequence[tuple[Tensor, Tensor]]:
    return list(zip(*(each.split(size) for each in pairs), strict=True))


def _in_place(sample: Sample, inputs: Tensor, targets: Tensor) -> dict[int, Tensor]:
    assert sample.target is not None
    return {id(sample.inputs[0]): inputs, id(sample.target): targets}
