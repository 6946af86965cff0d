"""Whether anything in the network bends: f((a + b) / 2) against the mean of f(a) and f(b)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from netwright.doctor.patient import Patient, tensors_in
from netwright.doctor.probes import PROBES
from netwright.doctor.tape import Call
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.affinity import Affinity

PAIRS = 32

STIRRED = 0.1
"""Spread of what is put in the place of weights that are all 0."""


@PROBES.register("affine", order=12, needs=("sample",), cost="2F")
def affine(patient: Patient) -> Iterator[Affinity]:
    """Each sample of the batch is paired with the next one; the network is in evaluation mode.

    What comes out must have the batch as its first axis. A last softmax would hide an affine
    network; networks end in logits, and where they do not this says nothing.
    """
    sample = patient.sample
    assert sample is not None
    deadline = patient.deadline
    if not deadline.affords(deadline.passes(2 * min(PAIRS, sample.size) / max(1, sample.size))):
        deadline.leave_out("passes", 0, 2)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    _, calls = twin.network()
    given = _given(calls[0]) if len(calls) == 1 else None
    if given is None:
        return
    network = twin.swaps[id(calls[0].run)]
    with twin, torch.no_grad(), sample.surroundings.again():
        twin.model.eval()
        _stir(twin.model)
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
        ends = _answer(network, calls[0], given, a.clone())
        middle = _answer(network, calls[0], given, (a + b) / 2)
        for hook in hooks:
            hook.remove()
    if ends is None or middle is None or ends.shape != middle.shape:
        return
    ends, middle = ends.double(), middle.double()
    other = ends.roll(1, 0)
    gap, span = _size(ends + other - 2 * middle), _size(ends - other)
    yield Affinity(gap=gap, span=span, pairs=len(a), layers=tuple(ran))


def _stir(model: nn.Module) -> None:
    """Weights that are all 0 get values: a branch that begins closed (a residual branch, a gate, a
    scale) hides what is not linear in it, and opens with the first steps."""
    draw = torch.Generator().manual_seed(0)
    for each in model.parameters():
        if each.is_floating_point() and each.numel() and not bool(each.any()):
            noise = torch.randn(each.shape, generator=draw, dtype=torch.float32)
            each.copy_(STIRRED * noise.to(each.device, each.dtype))


def _given(call: Call) -> Tensor | None:
    """The input that is mixed: the only tensor of the call that holds fractions. What else it was
    given by name, labels that it computes its own loss with, is cut as the input is."""
    tensors = [each for each in tensors_in((call.args, call.kwargs)) if each.is_floating_point()]
    if len(call.args) > 1 or len(tensors) != 1 or tensors[0].ndim < 2:
        return None
    return tensors[0]


def _answer(network: nn.Module, call: Call, given: Tensor, rows: Tensor) -> Tensor | None:
    """What the network puts out for `rows` in place of the input, one answer for each."""

    def cut(value: Any) -> Any:
        if value is given:
            return rows
        whole = isinstance(value, Tensor) and value.ndim and len(value) == len(given)
        return value[: len(rows)] if whole else value

    args, kwargs = tree_map(cut, (call.args, call.kwargs))
    found = tensors_in(network(*args, **kwargs))
    return next((each for each in found if each.ndim and len(each) == len(rows)), None)


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
