"""What a loss of somebody's own asks for: its outputs made free, and moved down the loss alone."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.quiet import hushed
from netwright.doctor.reading import Term, terms
from netwright.doctor.tape import Objective
from netwright.doctor.unfolding import Tail, Unfolded, unfolded, word_of
from netwright.records.facts.wanted import Wanted

BOUNDING = {"softmax", "softmin", "sigmoid", "tanh", "relu", "relu6", "hardtanh", "hardsigmoid",
            "softplus", "clamp", "elu"}  # fmt: skip
"""Functions whose results have a range of their own."""

LARGEST = 300_000
"""Numbers that are moved at the most."""

MOST = 3
"""Bounding functions that are tried without."""

STEPS = 150
FEWEST = 50
STEP = 0.1
"""Length of a step, in spreads of the targets or in units, whichever is larger."""

GONE, FARTHER = 5.0, 1000.0
"""Spreads of the targets beyond which an output ran away from its own, and how far it is then
driven on."""

SECONDS = 0.4
PART = 0.1
"""What one of the descents may take, and of the time that is left."""

LIKELIHOODS = ("cross_entropy", "nll_loss")


@PROBES.register("wanted", order=9, needs=("sample",), cost="the loss alone, 450 times")
def wanted(patient: Patient) -> Iterator[Wanted]:
    """Where the loss is none of torch's own by itself: the least it can come to by outputs that
    are free, by one row for all samples, and without the last bounding function before it."""
    sample = patient.sample
    assert sample is not None
    way = unfolded(patient, sample) if sample.objective.modules else None
    if way is None or not sample.objective.loss.requires_grad:
        return
    found = terms(way)
    if len(found) == 1 and found[0].factor is not None and found[0].kind in KNOWN:
        return  # its floors are known by arithmetic
    tail = way.tail(way.loss)
    begins = [e for e in tail.begins if e.ndim and len(e) == sample.size and e.requires_grad]
    if not begins or sample.size < 2 or sum(each.numel() for each in begins) > LARGEST:
        return
    if any(word_of(call).endswith("norm") for call in tail.objective.calls):
        return  # samples that are measured together
    with (
        hushed(patient.model, begin=sample.random),
        sample.surroundings.again(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            told = _told(patient, sample, way, tail, begins, found)
        except (RuntimeError, IndexError, ValueError, LookupError):
            return  # a loss that takes no other outputs than those it was given
    if told is not None:
        yield told


KNOWN = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits",
)  # fmt: skip


def _told(
    patient: Patient,
    sample: Sample,
    way: Unfolded,
    tail: Tail,
    begins: list[Tensor],
    found: list[Term],
) -> Wanted | None:
    target = sample.target
    if target is None:
        target = patient.workings.get("judged by")
    descent = _Descent(patient, sample, target)
    free = descent.down(tail.objective, begins)
    if free is None:
        return None
    facts: dict[str, Any] = {"start": free.start, "least": free.least}
    alone = descent.down(tail.objective, begins, shared=True)
    facts["constant"] = None if alone is None else alone.least
    facts |= _without(descent, tail)
    facts |= _away(sample, target, tail, begins, free)
    facts |= _likelihood(way, tail, found, free)
    return Wanted(**facts)


class _Free:
    """Where a descent came to: `swaps` are the tensors it moved, by the `id` of the old ones."""

    def __init__(self, start: float, least: float, swaps: dict[int, Tensor]) -> None:
        self.start, self.least, self.swaps = start, least, swaps


class _Descent:
    """Steps of Adam on some numbers, down the loss of the batch."""

    def __init__(self, patient: Patient, sample: Sample, target: Tensor | None) -> None:
        self._random = sample.random
        spread = 1.0
        if target is not None and target.is_floating_point() and target.numel() > 1:
            spread = float((target.std() + target.mean().abs()).detach())
        self._step = STEP * max(1.0, spread if math.isfinite(spread) else 1.0)
        self._seconds = min(SECONDS, PART * patient.deadline.left)

    def down(
        self, objective: Objective, begins: list[Tensor], *, shared: bool = False
    ) -> _Free | None:
        """From where they are; `shared`: from their mean, the same for all samples."""
        values = [
            (e.detach().mean(0, keepdim=True) if shared else e.detach()).clone().requires_grad_()
            for e in begins
        ]
        optimizer = Adam(values, lr=self._step)
        until, start, least = time.perf_counter() + self._seconds, math.nan, math.inf
        best: list[Tensor] = []
        for step in range(STEPS):
            swaps = {
                id(old): new.expand_as(old) if shared else new
                for old, new in zip(begins, values, strict=True)
            }
            self._random.restore()
            with torch.enable_grad():
                loss = objective.again(swaps)
                if not loss.requires_grad:
                    return None
                slopes = torch.autograd.grad(loss, values, allow_unused=True)
            now = float(loss.detach())
            if not math.isfinite(now):
                break
            start = now if step == 0 else start
            if now < least:
                least, best = now, [each.detach().clone() for each in values]
            for each, slope in zip(values, slopes, strict=True):
                each.grad = torch.zeros_like(each) if slope is None else slope
            optimizer.step()
            if time.perf_counter() > until:
                if step < FEWEST:
                    return None
                break
        if not best:
            return None
        ends = [b.expand_as(old) for b, old in zip(best, begins, strict=True)]
        return _Free(start, least, {id(o): e for o, e in zip(begins, ends, strict=True)})


def _without(descent: _Descent, tail: Tail) -> dict[str, Any]:
    """The first bounding function behind the weights, and the descent with its result free. Within
    a formula of a loss such a result is no free number: there a loss may come to less than none,
    and the next function is asked."""
    tried = 0
    for call in tail.objective.calls:
        made = call.result
        if word_of(call) not in BOUNDING or not isinstance(made, Tensor) or not made.requires_grad:
            continue
        free = descent.down(tail.objective, [made])
        if free is not None and free.least >= 0:
            return {"activation": word_of(call), "unbound": free.least}
        tried += 1
        if tried == MOST:
            break
    return {}


def _away(
    sample: Sample, target: Tensor | None, tail: Tail, begins: list[Tensor], free: _Free
) -> dict[str, Any]:
    """What the targets are; of numbers whether outputs ran away from them, and the loss with it."""
    if target is None or target.numel() < 2:
        return {}
    truth = target.detach().float()
    if not target.is_floating_point():
        return {"targets": "classes"}
    if bool(((truth == 0) | (truth == 1)).all()):
        one = truth.ndim == 2 and truth.shape[1] > 1 and bool((truth.sum(1) == 1).all())
        return {"targets": "classes" if one else "signs"}
    facts: dict[str, Any] = {"targets": "numbers"}
    (begin, *others) = begins
    if others or target.numel() != begin.numel():
        return facts
    end = free.swaps[id(begin)].float()
    spread = float(truth.std()) or 1.0
    gap = end - truth.reshape(begin.shape)
    gone = gap.abs() > GONE * spread
    facts["runaway"] = float(gone.float().mean())
    course = (gap.sign() * gone * FARTHER * spread).to(begin.dtype)
    losses = []
    with torch.no_grad():
        for times in (0, 1, 2):
            sample.random.restore()
            losses.append(float(tail.objective.again({id(begin): end + times * course})))
    first, second = losses[0] - losses[1], losses[1] - losses[2]
    if first > 0 and all(math.isfinite(each) for each in losses):
        facts["slope"] = second / first
    return facts


def _likelihood(way: Unfolded, tail: Tail, found: list[Term], free: _Free) -> dict[str, Any]:
    """What the one likelihood among several terms is where the whole loss is least."""
    terms_ = [each for each in found if each.kind in LIKELIHOODS and not each.by_hand]
    if len(terms_) != 1 or len(found) != 1 or terms_[0].factor is not None:
        return {}
    (term,) = terms_
    result = way.calls[term.place].result
    target = term.target
    if target is None or target.is_floating_point() or result.ndim or term.options.get("weight"):
        return {}
    with torch.no_grad():
        now = float(Objective(tail.objective.calls, result).again(free.swaps))
    classes = term.input.shape[1]
    counts = torch.bincount(target.reshape(-1).clamp(min=0), minlength=classes).double()
    shares = counts / counts.sum()
    guess = float(-(shares * shares.clamp_min(1e-12).log()).sum())
    if guess <= 0 or term.options.get("label_smoothing"):
        return {}
    return {"term": term.kind, "term_left": now / guess}
