"""What the same steps come to from weights that are drawn anew: what a bad start costs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.fit import constant_of
from netwright.doctor.probes.plain import rows_of
from netwright.doctor.quiet import weight_of
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.redrawn import Redrawn
from netwright.records.facts.start import WeightScales
from netwright.records.initial_state import InitialState

STEPS = 150
LEAST = 60
"""Steps that each of the trainings gets at least, or nothing is tried."""

DRAWS = 2
"""Fresh starts: one may be lucky."""

SECONDS = 0.7
"""What each training may take."""

PART = 0.4
"""The share of the time left that all of them may take."""

FEWEST = 200
"""Samples there must be, of which a quarter is learned from by nobody."""

LARGE, SMALL = 4.0, 0.1
"""Gains of weights that an initialiser seldom gives: a start outside is tried."""


UNITS, MOST_UNITS = 4, 4096
"""Units of a layer between which copies are looked for."""


@PROBES.register(
    "redrawn", order=23, needs=("sample", "optimizers"), cost="450S where the start looks bad"
)
def redrawn(patient: Patient) -> Iterator[Redrawn]:
    """Where the start looks bad a copy learns from some batches as it is, and two more whose
    weights are drawn anew: by He before rectifiers, by Xavier before what squashes, as torch does
    for the rest. All get the same batches, by the optimizer that is set."""
    sample, state = patient.sample, patient.workings.get("start")
    assert sample is not None
    if len(patient.optimizers) != 1 or patient.setup.pretrained or patient.setup.special:
        return
    if state is None or len(sample.inputs) != 1:
        return
    if not (_looks_bad(*state) or _repeated(patient.model)):
        return
    target = sample.target
    if target is None or not target.ndim or len(target) != sample.size or patient.train is None:
        return
    each = patient.deadline.passes(STEP)
    if patient.deadline.passes(STEP * LEAST * (DRAWS + 1)) > PART * patient.deadline.left:
        patient.deadline.leave_out("steps", 0, STEPS)
        return
    try:
        twin = Twin(patient, sample)
        with twin:
            if not twin.agrees() or not twin.parameters:
                return
            pairs = rows_of(patient)
            if pairs is None or len(pairs[0]) < max(FEWEST, 3 * sample.size):
                return
            until = min(SECONDS, PART * patient.deadline.left / (DRAWS + 1))
            steps = min(STEPS, int(until / each)) if each else STEPS
            found = _compared(twin, patient, pairs, max(LEAST, steps), until, state[0])
    except (NoTwinError, RuntimeError, ValueError, IndexError, TypeError):
        return  # the loss knows the batch by other ways than by its inputs and its target
    if found is None:
        patient.deadline.leave_out("steps", 0, STEPS)
        return
    ends, steps, seen = found
    yield Redrawn(
        as_is=ends[0],
        redrawn=tuple(ends[1:]),
        steps=steps,
        samples=seen,
        guess=constant_of(sample),
    )


def _looks_bad(state: InitialState, scales: WeightScales) -> bool:
    verdicts = {each.verdict for each in state.judgements}
    if verdicts & {"alike", "dead", "saturated", "growing", "shrinking"}:
        return True
    gains = [each.gain for each in scales.layers if each.held and not each.normed]
    gains += [each.gain for each in scales.recurrences]
    return any(not SMALL <= each <= LARGE for each in gains)


def _repeated(model: nn.Module) -> bool:
    """Whether most units of some layer are copies of others."""
    for each in model.modules():
        weight = weight_of(each)
        if not isinstance(each, nn.Linear | nn.modules.conv._ConvNd) or not (
            isinstance(weight, nn.Parameter) and UNITS <= len(weight) <= MOST_UNITS
        ):
            continue
        if len(torch.unique(weight.detach().flatten(1), dim=0)) <= len(weight) / 2:
            return True
    return False


def _compared(
    twin: Twin,
    patient: Patient,
    pairs: tuple[Tensor, Tensor],
    steps: int,
    until: float,
    state: InitialState,
) -> tuple[list[float], int, int] | None:
    """The losses on the samples that were kept, the steps taken, and how many samples they are."""
    inputs, targets = pairs
    sample = twin.sample
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(len(inputs), generator=draw)
    size = sample.size
    kept = order[: max(size, len(order) // 4 // size * size)]
    known = order[len(kept) :]
    chosen = [known[torch.randperm(len(known), generator=draw)[:size]] for _ in range(steps)]
    ends: list[float] = []
    for number in range(DRAWS + 1):
        with twin.returning():
            if number:
                _draw_anew(twin.model, state, number)
            optimizer = twin.optimizer(patient.optimizers[0], 1.0)
            held = [each for group in optimizer.param_groups for each in group["params"]]
            twin.begin()
            began = time.perf_counter()
            for step, rows in enumerate(chosen):
                loss = twin.loss(_in_place(sample, inputs[rows], targets[rows]))
                gradients = torch.autograd.grad(loss, held, allow_unused=True)
                for each, gradient in zip(held, gradients, strict=True):
                    each.grad = gradient
                optimizer.step()
                if not math.isfinite(float(loss.detach())):
                    break
                if not number and time.perf_counter() - began > until:
                    if step + 1 < LEAST:
                        return None
                    chosen = chosen[: step + 1]
                    break
            twin.model.eval()
            with torch.no_grad():
                losses = [
                    float(twin.loss(_in_place(sample, inputs[rows], targets[rows])).detach())
                    for rows in kept.split(size)
                    if len(rows) == size
                ]
            ends.append(sum(losses) / len(losses))
    return ends, len(chosen), len(kept)


def _in_place(sample: Sample, inputs: Tensor, targets: Tensor) -> dict[int, Tensor]:
    assert sample.target is not None
    return {id(sample.inputs[0]): inputs, id(sample.target): targets}


@torch.no_grad()
def _draw_anew(model: nn.Module, state: InitialState, seed: int) -> None:
    """Every layer by an initialiser that suits what follows it."""
    torch.manual_seed(seed)
    squashed = {each.layer for each in state.stages if each.squashes}
    for name, each in model.named_modules():
        weight = getattr(each, "weight", None)
        known = isinstance(each, nn.Linear | nn.modules.conv._ConvNd)
        if known and isinstance(weight, nn.Parameter):
            if name in squashed:
                nn.init.xavier_normal_(weight)
            else:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            if isinstance(each.bias, nn.Parameter):
                nn.init.zeros_(each.bias)
        elif hasattr(each, "reset_parameters"):
            each.reset_parameters()
        elif hasattr(each, "_reset_parameters"):
            each._reset_parameters()
