"""A part of a batch in place of the whole, where a network is too slow to be tried on all of it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient, Sample, sample_of
from netwright.doctor.quiet import hushed
from netwright.doctor.tape import Call, Objective, _in_place, _parts

SLOW = 1 / 30
"""Seconds of one training step from which on trials get a part of the batch: at less, three trials
of thirty steps go into the time that they have."""

DOUBTFUL = 0.3
"""Seconds of a pass below which a busy machine may be what made it slow: it is timed once more."""

FEWEST = 32
"""Samples below which a part does not stand for its batch: norms and curvature are of too few."""

WORTH = 0.75
"""A part larger than this share of its batch saves too little."""


def light(patient: Patient, sample: Sample | None = None) -> Sample:
    """The `sample` (the first batch), or as many evenly spaced rows as make a step quick enough.

    The whole batch where that is quick, where it is small, and where the loss knows its size by
    other ways than by its inputs and its target.
    """
    sample = sample or patient.sample
    assert sample is not None
    known = patient.workings.get("light")
    if known is None or known[0] is not sample:
        known = patient.workings["light"] = (sample, _light(patient, sample))
    made: Sample = known[1]
    return made


def _light(patient: Patient, sample: Sample) -> Sample:
    step = patient.deadline.passes(STEP)
    if SLOW < step < STEP * DOUBTFUL:
        _time_again(patient, sample)
        step = patient.deadline.passes(STEP)
    if step <= SLOW:
        return sample
    size = sample.size
    count = max(FEWEST, int(size * SLOW / step))
    if count > WORTH * size or not patient.deadline.affords(patient.deadline.passes(1)):
        return sample
    began = time.perf_counter()
    made = part_of(patient, sample, count)
    took = time.perf_counter() - began
    # What a pass takes may have little to do with how many samples there are in it.
    return sample if made is None or took > WORTH * patient.deadline.passes(1) else made


def _time_again(patient: Patient, sample: Sample) -> None:
    """One more pass, for the first one may have been slow by chance."""
    with (
        hushed(patient.model, *(call.run for call in sample.objective.modules),
               begin=sample.random),
        sample.surroundings.again(),
        torch.no_grad(),
        patient.deadline.timed(),
    ):  # fmt: skip
        sample.objective.again()


def part_of(patient: Patient, sample: Sample, count: int) -> Sample | None:
    """`count` evenly spaced samples of a batch on the same way to the loss; None where the way
    does not bear it."""
    size, target = sample.size, sample.target
    if any(not each.ndim or len(each) != size for each in sample.inputs):
        return None
    if target is not None and (not target.ndim or len(target) != size):
        return None
    rows = torch.arange(count) * size // count
    handed = [*sample.inputs, *([] if target is None else [target])]
    try:
        swaps = {id(each): each.detach()[rows.to(each.device)] for each in handed}
        with (
            hushed(patient.model, *(call.run for call in sample.objective.modules),
                   begin=sample.random),
            sample.surroundings.again(),
            torch.enable_grad(),
        ):  # fmt: skip
            replayed = _replayed(sample.objective, swaps)
        made = sample_of(
            replayed, random=sample.random, surroundings=sample.surroundings, step=sample.step
        )
    except Exception:
        return None  # the model or the loss knows the size of the batch by another way
    before, after = sample.output, made.output
    by_sample = before is not None and before.ndim and len(before) == size
    if by_sample and (after is None or len(after) != count):
        return None
    return dataclasses.replace(
        made,
        target=None if target is None else swaps[id(target)],
        loss=made.loss * made.scale / sample.scale,
        scale=sample.scale,
        cuts=sample.cuts,
    )


def _replayed(objective: Objective, swaps: dict[int, Tensor]) -> Objective:
    """The same calls made anew, each noted with what it was given and gave this time."""
    known: dict[int, Any] = dict(swaps)
    calls = []
    loss: Any = None

    def now(value: Any) -> Any:
        return known.get(id(value), value) if isinstance(value, Tensor) else value

    for call in objective.calls:
        args, kwargs = tree_map(now, (call.args, call.kwargs))
        if _in_place(call.name) and args and args[0] is call.args[0]:
            args = (args[0].detach().clone(), *args[1:])  # a tensor of the loop's own
        result = call.run(*args, **kwargs)
        for old, new in zip(_parts(call.result), _parts(result), strict=True):
            if isinstance(old, Tensor) and id(old) not in swaps:
                known[id(old)] = new
        calls.append(Call(call.run, args, kwargs, result))
    loss = known.get(id(objective.loss))
    if not isinstance(loss, Tensor) or not bool(loss.isfinite().all()):
        raise LookupError("the loss of a part is not to be had")
    return Objective(tuple(calls), loss)
