"""The top curvature of the loss at the start, by power iteration on the twin."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.deadline import STEP, Deadline
from netwright.doctor.part import light
from netwright.doctor.patient import Patient
from netwright.doctor.probes import PROBES
from netwright.doctor.twin import NoTwinError, Twin, rate_meant
from netwright.records.facts.curvature import Curvature

STEPS = 8

FEWEST = 3
"""Power steps that there must be time for, or it does not begin."""

PRODUCT = 4.0
"""A product in forward passes. Measured on one thread: 2.5 to 4."""

SECONDS = 2.0

PLAIN = {"SGD"}
ADAPTIVE = {"Adam", "AdamW", "NAdam", "RAdam", "Adamax"}

Vector = list[Tensor]


@PROBES.register("curvature", order=30, needs=("sample", "optimizers"), cost="1F+1B, 8 x 4F")
def curvature(patient: Patient) -> Iterator[Curvature]:
    """Eight products of the second derivative with a vector: the largest bend of the loss.

    The vector begins at random, by a generator of its own. Where an operation has no second
    derivative, two gradients near each other are subtracted instead.
    """
    assert patient.sample is not None
    optimizer = patient.optimizers[0]
    kind = type(optimizer).__name__
    if len(patient.optimizers) != 1 or kind not in PLAIN | ADAPTIVE:
        return
    sample, whole, deadline = light(patient), patient.sample.size, patient.deadline
    share = sample.size / max(1, whole)
    if not deadline.affords(deadline.passes((1 + STEP + FEWEST * PRODUCT) * share)):
        deadline.leave_out("power steps", 0, STEPS)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    with twin:
        if not twin.parameters or not twin.agrees():
            return
        found = _measured(twin, optimizer, deadline, adaptive=kind in ADAPTIVE)
    if found is not None and found.steps < FEWEST:
        deadline.leave_out("power steps", found.steps, STEPS)
    elif found is not None:
        yield dataclasses.replace(found, share=share)


def _measured(
    twin: Twin, optimizer: Optimizer, deadline: Deadline, *, adaptive: bool
) -> Curvature | None:
    weights = list(twin.parameters.values())
    gradient, _ = _gradient(twin, weights, create_graph=False)
    if any(each.layout is not torch.strided or each.is_complex() for each in gradient):
        return None  # sparse gradients have no second derivative in torch
    norm = _norm(gradient)
    if not math.isfinite(norm) or norm == 0.0:
        return None
    scales = _scales(gradient, optimizer) if adaptive else None
    product, exact = _hessian(twin, weights)

    def bent(vector: Vector) -> Vector | None:
        found = product(_times(vector, scales))
        return None if found is None else _times(found, scales)

    iterated = _powers(bent, weights, deadline)
    if iterated is not None and iterated[0] < 0:
        # The loss bends down more than up: move all eigenvalues by that much, and look again.
        shift = -iterated[0]
        iterated = _powers(bent, weights, deadline, shift=shift)
    if iterated is None or not math.isfinite(iterated[0]):
        return None
    top, settled, done = iterated
    rate = max(rate_meant(group, optimizer) for group in optimizer.param_groups)
    return Curvature(
        top=top,
        rate=rate,
        limit=_limit(optimizer, adaptive=adaptive),
        steps=done,
        preconditioned=adaptive,
        exact=exact(),
        settled=settled,
        gradient_norm=norm,
        normalised=any(
            isinstance(e, nn.modules.batchnorm._BatchNorm) for e in twin.model.modules()
        ),
    )


def _powers(
    bent: Callable[[Vector], Vector | None],
    weights: Sequence[Tensor],
    deadline: Deadline,
    *,
    shift: float = 0.0,
) -> tuple[float, float, int] | None:
    """The eigenvalue of largest size (of the matrix moved up by `shift`), its last relative change,
    and the steps that were done."""
    generator = torch.Generator().manual_seed(0)
    vector = [torch.randn(each.shape, generator=generator).to(each) for each in weights]
    began, top, change, done = time.perf_counter(), 0.0, 0.0, 0
    longest = 0.0
    while done < STEPS and time.perf_counter() - began < SECONDS and deadline.affords(longest):
        before = time.perf_counter()
        size = _norm(vector)
        if not math.isfinite(size) or size == 0.0:
            return None
        vector = [each / size for each in vector]
        following = bent(vector)
        if following is None:
            return None
        now = sum(float((a * b).sum()) for a, b in zip(vector, following, strict=True))
        change, top, done = abs(now - top) / max(abs(now), 1e-30), now, done + 1
        vector = [a + shift * b for a, b in zip(following, vector, strict=True)]
        longest = max(longest, time.perf_counter() - before)
    if not done:
        return None
    return top, change, done


def _limit(optimizer: Optimizer, *, adaptive: bool) -> float:
    group = optimizer.param_groups[0]
    if not adaptive:
        return 2.0 * (1.0 + float(group.get("momentum", 0.0)))
    beta = float(group.get("betas", (0.9,))[0])
    return 2.0 * (1.0 + beta) / (1.0 - beta)


def _gradient(
    twin: Twin, weights: Sequence[Tensor], *, create_graph: bool
) -> tuple[Vector, Vector]:
    twin.begin()
    raw = torch.autograd.grad(twin.loss(), weights, create_graph=create_graph, allow_unused=True)
    full = [torch.zeros_like(w) if g is None else g for g, w in zip(raw, weights, strict=True)]
    return [each.detach() for each in full], full


def _hessian(
    twin: Twin, weights: Sequence[Tensor]
) -> tuple[Callable[[Vector], Vector | None], Callable[[], bool]]:
    """The product of the second derivative with a vector, and whether it was exact.

    The gradient is computed once, with its graph, for all products: the batch, the weights and the
    random numbers are the same each time.
    """
    state = {"exact": True}
    graphs: list[Vector] = []

    def product(vector: Vector) -> Vector | None:
        if state["exact"]:
            try:
                if not graphs:
                    graphs.append(_gradient(twin, weights, create_graph=True)[1])
                return _derived(graphs[0], weights, vector)
            except (RuntimeError, NotImplementedError):
                state["exact"] = False
                graphs.clear()
        return _difference(twin, weights, vector)

    return product, lambda: state["exact"]


def _derived(gradient: Vector, weights: Sequence[Tensor], vector: Vector) -> Vector:
    pairs = [(g, v) for g, v in zip(gradient, vector, strict=True) if g.requires_grad]
    if not pairs:  # a straight line, or a backward that has no derivative of its own
        raise NotImplementedError("the gradient has no history")
    outputs, along = zip(*pairs, strict=True)
    bent = torch.autograd.grad(
        outputs, weights, grad_outputs=along, allow_unused=True, retain_graph=True
    )
    return [torch.zeros_like(w) if h is None else h for h, w in zip(bent, weights, strict=True)]


def _difference(twin: Twin, weights: Sequence[Tensor], vector: Vector) -> Vector:
    """(g(w + h v) - g(w - h v)) / 2h."""
    size = _norm(list(weights)) or 1.0
    step = 1e-3 * size / max(_norm(vector), 1e-30)
    sides = []
    with twin.returning():
        for sign in (1.0, -2.0):
            with torch.no_grad():
                for weight, part in zip(weights, vector, strict=True):
                    weight.add_(part, alpha=sign * step)
            sides.append(_gradient(twin, weights, create_graph=False)[0])
    return [(a - b) / (2 * step) for a, b in zip(*sides, strict=True)]


def _scales(gradient: Vector, optimizer: Optimizer) -> Vector:
    """1 / sqrt(|g| + eps): the size of Adam's first step, half on each side of the matrix."""
    eps = float(optimizer.param_groups[0].get("eps", 1e-8))
    return [(each.abs() + eps).rsqrt() for each in gradient]


def _times(vector: Vector, scales: Vector | None) -> Vector:
    if scales is None:
        return vector
    return [a * b for a, b in zip(vector, scales, strict=True)]


def _norm(vector: Sequence[Tensor]) -> float:
    return math.hypot(*(float(torch.linalg.vector_norm(each.detach().float())) for each in vector))
