"""Whether anything in the network bends: f((a + b) / 2) against the mean of f(a) and f(b)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from netwright.doctor.patient import Patient, first_tensor
from netwright.doctor.probes import PROBES
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.affinity import Affinity

PAIRS = 32


@PROBES.register("affine", order=12, needs=("sample",), cost="2F")
def affine(patient: Patient) -> Iterator[Affinity]:
    """Each sample of the batch is paired with the next one; the network is in evaluation mode.

    What comes out must have the batch as its first axis. A last softmax would hide an affine
    network; networks end in logits, and where they do not this says nothing.
    """
    sample = patient.sample
    assert sample is not None
    calls = [c for c in sample.objective.modules if c.run is patient.model]
    if len(calls) != 1 or calls[0].kwargs or len(calls[0].args) != 1:
        return
    given = calls[0].args[0]
    if not isinstance(given, Tensor) or not given.is_floating_point() or given.ndim < 2:
        return
    deadline = patient.deadline
    if not deadline.affords(deadline.passes(2 * min(PAIRS, len(given)) / max(1, sample.size))):
        deadline.leave_out("passes", 0, 2)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    with twin, torch.no_grad(), sample.surroundings.again():
        twin.model.eval()
        a = given.detach()[:PAIRS]
        if len(a) < 2:
            return
        b = a.roll(1, 0)
        ran: dict[str, None] = {}
        hooks = [
            module.register_forward_hook(lambda *_, name=name: ran.setdefault(name))
            for name, module in twin.model.named_modules()
            if any(p.ndim > 1 for p in module.parameters(recurse=False))
        ]
        ends = first_tensor(twin.model(a.clone()))
        middle = first_tensor(twin.model((a + b) / 2))
        for hook in hooks:
            hook.remove()
    if ends is None or middle is None or ends.shape != middle.shape or len(ends) != len(a):
        return
    ends, middle = ends.double(), middle.double()
    other = ends.roll(1, 0)
    gap, span = _size(ends + other - 2 * middle), _size(ends - other)
    yield Affinity(gap=gap, span=span, pairs=len(a), layers=tuple(ran))


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
