"""Does the loss pull the outputs toward their targets, each toward its own?"""

from __future__ import annotations

import math
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

SAME = 1e-5
"""Relative change of a loss that rounding explains."""

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
    patient.workings["judged by"] = target
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
        anew = _anew(tail, output, target)
    if slope is None or not bool(slope.isfinite().all()):
        return
    plain, other = float(loss.detach()), float(dealt.detach())
    yield Pull(
        flat=bool((slope == 0).all()) and plain != 0,
        samples=len(output),
        dealt_change=abs(other - plain) / max(abs(plain), 1e-12),
        targets_dealt=float((target.roll(1, 0) != target).float().mean()),
        dealt_anew=anew,
        paired=anew is not None and anew < SAME and _paired(patient, sample, target),
        output_spread=_spread(output.detach()),
        alone=alone,
        crossed=_crossed(tail, target),
        **_direction(slope.detach().float(), output.detach().float(), target.detach()),
    )


def _anew(tail: Objective, output: Tensor, target: Tensor) -> float | None:
    """The same with outputs that are far from one another: those of a network at its start may all
    be alike, so that it hardly matters whose target each is given."""
    size = 3.0
    if target.is_floating_point():
        size *= float(target.float().std()) or 1.0
    noise = torch.randn(tuple(output.shape), generator=torch.Generator().manual_seed(0))
    swaps = {id(output): (size * noise).to(output)}
    try:
        with torch.no_grad():
            plain = float(tail.again(swaps))
            other = float(tail.again({**swaps, id(target): target.roll(1, 0)}))
    except (RuntimeError, ValueError, IndexError):
        return None  # a loss that takes probabilities alone
    change = abs(other - plain) / max(abs(plain), 1e-12)
    return change if math.isfinite(change) else None


def _paired(patient: Patient, sample: Sample, target: Tensor) -> bool:
    """Whether the data hold inputs and targets of this kind in pairs: what is drawn for each batch
    anew, as the noise of a generator, belongs to nobody."""
    if patient.train is None or not sample.inputs:
        return False
    x, y = next(iter(patient.train.batches()), (None, None))
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return False
    given = sample.inputs[0]
    return x.shape[1:] == given.shape[1:] and y.shape[1:] == target.shape[1:]


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
        way = target.float().reshape(output.shape)
        # Of yes and no the score of a yes should rise and that of a no fall, wherever they are.
        signs = bool(((way == 0) | (way == 1)).all())
        way = way - 0.5 if signs else way - output
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
    """(N, 1) with (N,), or (N, 1, H, W) with (N, H, W), in one function, of something that has the
    target's values."""
    like = {id(target)}
    for call in tail.calls:
        fed = given(call)
        if isinstance(call.result, Tensor) and fed and all(id(each) in like for each in fed):
            like.add(id(call.result))  # a view or another type of it
        pair = _pair(call, len(target))
        if pair is None:
            continue
        a, b = pair
        if (id(a) in like) != (id(b) in like):
            judged, truth = (b, a) if id(a) in like else (a, b)
            return tuple(judged.shape), tuple(truth.shape)
    return ()


def _pair(call: Call, count: int) -> tuple[Tensor, Tensor] | None:
    """What a function of two tensors was given, where it paired `count` rows with as many others,
    each with all: (N, 1) with (N,) or with (1, N), images with such as have an axis less."""
    if word_of(call) not in PAIRWISE or not isinstance(call.result, Tensor):
        return None
    fed = given(call)
    if len(fed) != 2 or count < 2 or any(e.numel() < count or e.numel() % count for e in fed):
        return None
    a, b = fed
    return (a, b) if call.result.numel() == count * max(a.numel(), b.numel()) else None
