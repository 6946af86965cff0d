"""Whether all that goes in matters to the outputs: what seems idle is exchanged between samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient, first_tensor
from netwright.doctor.probes import PROBES
from netwright.doctor.tape import Call
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.through_time import ThroughTime
from netwright.records.facts.unread import Unread

SAME = 1e-6
"""Change of the outputs, of their size, that is rounding."""

STEPS = 6
"""Steps of a row below which nothing fades."""

LARGEST = 20_000_000
"""Numbers of an input above which nothing is tried."""


@PROBES.register("unread", order=14, needs=("sample",), cost="2F+1B")
def unread(patient: Patient) -> Iterator[Unread | ThroughTime]:
    """The numbers of the input that get no gradient from a random direction of the outputs take
    the values of the next sample, all of them at once. In evaluation mode, on a copy."""
    sample = patient.sample
    assert sample is not None
    if not patient.deadline.affords(patient.deadline.passes(STEP + 1)):
        patient.deadline.leave_out("passes", 0, 2)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    _, calls = twin.network()
    if len(calls) != 1:
        return
    (call,) = calls
    given = first_tensor((call.args, call.kwargs))
    if given is None or not given.is_floating_point() or given.ndim < 2 or len(given) < 4:
        return
    if given.numel() > LARGEST:
        return
    network = twin.swaps[id(call.run)]
    with twin, torch.enable_grad(), sample.surroundings.again():
        twin.model.eval()
        rows = given.detach().clone().requires_grad_()
        whole = _answer(network, call, given, rows)
        if whole is None or len(whole) != len(rows):
            return
        draw = torch.Generator().manual_seed(0)
        way = torch.randn(whole.shape, generator=draw).to(whole)
        (slope,) = torch.autograd.grad((whole * way).sum(), rows, allow_unused=True)
        through = _through_time(slope) if slope is not None else None
        if through is not None:
            yield through
        values = given.detach()
        varied = (values != values[:1]).any(0)
        idle = varied if slope is None else varied & ~(slope != 0).any(0)
        if not bool(idle.any()):
            return
        with torch.no_grad():
            again = _answer(network, call, given, torch.where(idle, values.roll(1, 0), values))
    if again is None or again.shape != whole.shape:
        return
    size = float(whole.detach().square().mean().sqrt())
    change = float((again - whole.detach()).abs().max()) / max(size, 1e-30)
    if change <= SAME:
        place = tuple(int(each) for each in idle.nonzero()[0])
        yield Unread(varied=int(varied.sum()), idle=int(idle.sum()), change=change, example=place)


def _through_time(slope: Tensor) -> ThroughTime | None:
    """Of an input of (samples, steps, numbers): its gradient step by step."""
    if slope.ndim != 3 or slope.shape[1] < STEPS:
        return None
    sizes = slope.double().square().mean((0, 2)).sqrt().cpu()
    largest = float(sizes.max())
    if not 0 < largest < float("inf"):
        return None
    logs = (sizes / largest).clamp_min(1e-30).log()
    places = torch.arange(len(logs), dtype=logs.dtype)
    line = float(torch.corrcoef(torch.stack([places, logs]))[0, 1]) if bool(logs.std() > 0) else 0.0
    third = len(sizes) // 3
    return ThroughTime(first=float(sizes[:third].max()) / largest, steps=len(sizes), line=line)


def _answer(network: Any, call: Call, given: Tensor, rows: Tensor) -> Tensor | None:
    """The first output for `rows` in the place of the input."""
    args, kwargs = tree_map(
        lambda value: rows if value is given else value, (call.args, call.kwargs)
    )
    found = first_tensor(network(*args, **kwargs))
    return found if found is not None and found.is_floating_point() and found.ndim else None
