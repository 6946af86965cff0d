"""The schedule, simulated: copies of the schedulers step a dummy optimizer through the plan."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Optimizer

from netwright.core.unheard import unwarned
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.records.facts.schedule import Schedule

MOST = 20_000

UNPLANNED = 2_000
"""Steps that are looked ahead where nobody said how many there will be."""


@PROBES.register("schedule", order=5, needs=("schedulers",), cost="0F")
def schedule(patient: Patient) -> Iterator[Schedule]:
    """The rates to come. A scheduler that waits for a metric says nothing."""
    count = min(MOST, patient.setup.planned_steps or UNPLANNED)
    kinds = tuple(type(each).__name__ for each in patient.schedulers)
    optimizer = getattr(patient.schedulers[0], "optimizer", None)
    if "ReduceLROnPlateau" in kinds or not isinstance(optimizer, Optimizer):
        return
    if any(getattr(each, "optimizer", None) is not optimizer for each in patient.schedulers):
        return
    dummy = _dummy(optimizer)
    memo: dict[int, Any] = {id(optimizer): dummy}
    copies = [copy.deepcopy(each, memo) for each in patient.schedulers]
    rates = [_rate(dummy)]
    with unwarned():
        for _ in range(count):
            try:
                for each in copies:
                    each.step()
            except ValueError:  # OneCycleLR refuses to go on after its end
                break
            rates.append(_rate(dummy))
    yield Schedule(kinds=kinds, rates=np.asarray(rates, dtype=np.float64))


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
