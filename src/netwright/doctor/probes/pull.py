"""Does the loss pull the outputs toward their targets, each toward its own?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from netwright.doctor.patient import Patient, Sample, tensors_in
from netwright.doctor.probes import PROBES
from netwright.doctor.quiet import hushed
from netwright.doctor.tape import Call, Objective
from netwright.doctor.unfolding import given, word_of
from netwright.records.facts.pull import Pull

LARGEST = 5_000_000
"""Values of an output above which nothing is computed."""

PAIRWISE = {"sub", "add", "mul", "div", "pow", "maximum", "minimum", "where"}


@PROBES.register("pull", order=2, needs=("sample",), cost="the loss alone, forward and backward")
def pull(patient: Patient) -> Iterator[Pull]:
    """The gradient of the loss in the outputs, and the loss with the targets dealt otherwise. The
    model is not run: its outputs are those of the loop."""
    sample = patient.sample
    assert sample is not None
    parts = _after(sample)
    if parts is None:
        return
    tail, output = parts
    if output.numel() > LARGEST or output.ndim < 1 or len(output) < 4:
        return
    found = _target(sample, tail, output)
    if found is None:
        return
    target, alone = found
    with (
        hushed(patient.model, begin=sample.random),
        sample.surroundings.again(),
        torch.enable_grad(),
    ):
        z = output.detach().clone().requires_grad_()
        loss = tail.again({id(output): z})
        if not loss.requires_grad:
            return
        (slope,) = torch.autograd.grad(loss, z, allow_unused=True)
        dealt = tail.again({id(output): z.detach(), id(target): target.roll(1, 0)})
    if slope is None or not bool(slope.isfinite().all()):
        return
    plain, other = float(loss.detach()), float(dealt.detach())
    yield Pull(
        samples=len(output),
        dealt_change=abs(other - plain) / max(abs(plain), 1e-12),
        output_spread=_spread(output.detach()),
        alone=alone,
        crossed=_crossed(tail, target),
        **_direction(slope.detach().float(), output.detach().float(), target.detach()),
    )


def _after(sample: Sample) -> tuple[Objective, Tensor] | None:
    """The calls between the last module and the loss, and what they begin with."""
    calls = sample.objective.calls
    places = [place for place, call in enumerate(calls) if call.of_module]
    if not places:
        return None
    last = places[-1]
    # A module that judges is no model: nn.MSELoss is one of torch's functions here, but criteria
    # of somebody's own may be called as modules.
    if isinstance(calls[last].result, Tensor) and calls[last].result is sample.objective.loss:
        return None
    output = calls[last].result
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    later = tuple(calls[last + 1 :])
    if not later or not output.requires_grad:
        return None
    return Objective(later, sample.objective.loss), output


def _target(sample: Sample, tail: Objective, output: Tensor) -> tuple[Tensor, bool] | None:
    """What the loop handed over with the outputs: of their shape or of one number a sample, or the
    numbers of classes; and whether it was all. None where several tensors could be it."""
    made = {id(each) for call in tail.calls for each in tensors_in(call.result, 3)}
    found: dict[int, Tensor] = {}
    others = 0
    for call in tail.calls:
        for each in tensors_in((call.args, call.kwargs), 3):
            own = id(each) in made or each is output or isinstance(each, nn.Parameter)
            if own:
                continue
            if not each.requires_grad and _suits(each, output):
                found[id(each)] = each
            elif each.numel() > 1:
                others += 1
    if sample.target is not None and id(sample.target) in found:
        return sample.target, len(found) == 1 and not others
    return (next(iter(found.values())), not others) if len(found) == 1 else None


def _suits(each: Tensor, output: Tensor) -> bool:
    if each.ndim < 1 or len(each) != len(output) or each.dtype == torch.bool:
        return False
    if each.is_floating_point():
        return each.numel() == output.numel()
    if each.numel() != len(each) or output.ndim != 2 or output.shape[1] < 2:
        return False
    return bool((each >= 0).all()) and bool((each < output.shape[1]).all())


def _direction(slope: Tensor, output: Tensor, target: Tensor) -> dict[str, Any]:
    if target.is_floating_point():
        way = target.float().reshape(output.shape) - output
        sizes = float(slope.norm() * way.norm())
        if sizes <= 0:
            return {"targets": "numbers"}
        toward = -(slope * way)
        whole = float(toward.abs().sum())
        return {
            "targets": "numbers",
            "cosine": float(toward.sum()) / sizes,
            "away": float(toward.clamp(max=0).abs().sum()) / whole if whole > 0 else None,
        }
    right = slope.gather(1, target.reshape(-1, 1).long())[:, 0]
    whole = float(right.abs().sum())
    # Down the slope the score of the right class should rise: its slope is negative.
    away = float(right.clamp(min=0).sum()) / whole if whole > 0 else None
    return {"targets": "classes", "away": away}


def _spread(output: Tensor) -> float:
    rows = output.float().reshape(len(output), -1)
    size = float(rows.square().mean().sqrt())
    return float(rows.std(0).max()) / size if size > 0 else 0.0


def _crossed(tail: Objective, target: Tensor) -> tuple[tuple[int, ...], ...]:
    """(N, 1) with (N,) in one function, of something that has the target's values."""
    like = {id(target)}
    for call in tail.calls:
        fed = given(call)
        if isinstance(call.result, Tensor) and fed and all(id(each) in like for each in fed):
            like.add(id(call.result))  # a view or another type of it
        pair = _pair(call)
        if pair is None:
            continue
        a, b = pair
        if (id(a) in like) != (id(b) in like):
            judged, truth = (b, a) if id(a) in like else (a, b)
            return tuple(judged.shape), tuple(truth.shape)
    return ()


def _pair(call: Call) -> tuple[Tensor, Tensor] | None:
    if word_of(call) not in PAIRWISE or not isinstance(call.result, Tensor):
        return None
    fed = given(call)
    if len(fed) != 2 or fed[0].shape == fed[1].shape:
        return None
    a, b = fed
    count = len(a) if a.ndim else 0
    one_each = all(each.ndim and each.numel() == len(each) == count > 1 for each in fed)
    return (a, b) if one_each and call.result.numel() == count * count else None
