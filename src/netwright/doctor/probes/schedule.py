"""The schedule, simulated: copies of the schedulers step a dummy optimizer through the plan."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Optimizer

from netwright.core.unheard import unwarned
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.watching.wrapped import bare_optimizer
from netwright.records.facts.loose_schedule import LooseSchedule
from netwright.records.facts.schedule import Schedule

Rates = np.ndarray[Any, np.dtype[np.float64]]

MOST = 20_000

UNPLANNED = 2_000
"""Steps that are looked ahead where nobody said how many there will be."""


@PROBES.register("schedule", order=5, needs=("schedulers",), cost="0F")
def schedule(patient: Patient) -> Iterator[Schedule | LooseSchedule]:
    """The rates to come. A scheduler that waits for a metric says nothing. One that belongs to an
    optimizer that does not train here is told apart."""
    own = {id(bare_optimizer(each)) for each in patient.optimizers}
    owners = {
        id(each): bare_optimizer(getattr(each, "optimizer", None)) for each in patient.schedulers
    }
    loose = [
        each
        for each in patient.schedulers
        if own and isinstance(owners[id(each)], Optimizer) and id(owners[id(each)]) not in own
    ]
    if loose:
        rate = max(_rate(each) for each in patient.optimizers)
        yield LooseSchedule(kinds=_kinds(loose), rate=rate, rates=_simulated(patient, loose))
    bound = [each for each in patient.schedulers if each not in loose]
    rates = _simulated(patient, bound)
    if len(rates):
        yield Schedule(kinds=_kinds(bound), rates=rates)


def _kinds(schedulers: Sequence[Any]) -> tuple[str, ...]:
    return tuple(type(each).__name__ for each in schedulers)


def _simulated(patient: Patient, schedulers: Sequence[Any]) -> Rates:
    """Nothing where they wait for a metric, or are not all of one optimizer."""
    count = min(MOST, patient.setup.planned_steps or UNPLANNED)
    optimizer = getattr(schedulers[0], "optimizer", None) if schedulers else None
    if "ReduceLROnPlateau" in _kinds(schedulers) or not isinstance(optimizer, Optimizer):
        return np.zeros(0)
    if any(getattr(each, "optimizer", None) is not optimizer for each in schedulers):
        return np.zeros(0)
    dummy = _dummy(optimizer)
    memo: dict[int, Any] = {id(optimizer): dummy}
    copies = [copy.deepcopy(each, memo) for each in schedulers]
    rates = [_rate(dummy)]
    with unwarned():
        for _ in range(count):
            try:
                for each in copies:
                    each.step()
            except ValueError:  # OneCycleLR refuses to go on after its end
                break
            rates.append(_rate(dummy))
    return np.asarray(rates, dtype=np.float64)


def _dummy(optimizer: Optimizer) -> Optimizer:
    """One number a group, with the options of that group."""
    dummy = SGD(
        [{"params": [torch.zeros(1, requires_grad=True)]} for _ in optimizer.param_groups], 0.1
    )
    for own, theirs in zip(dummy.param_groups, optimizer.param_groups, strict=True):
        own.update({key: copy.copy(value) for key, value in theirs.items() if key != "params"})
    dummy.defaults.update(optimizer.defaults)
    return dummy


def _rate(optimizer: Optimizer) -> float:
    return max(float(group["lr"]) for group in optimizer.param_groups)
