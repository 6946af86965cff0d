"""Whether one batch can be fitted: on a copy, at the rate that is set, a tenth and ten times it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Protocol, overload

import torch
from torch import nn
from torch.optim import Adam, Optimizer

from netwright.doctor.bounds import OVER_CLASSES, best_constant
from netwright.doctor.deadline import STEP, Deadline
from netwright.doctor.part import light
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.reach import reached_from
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.fit import Fit, FitTrial

FACTORS = (1.0, 0.1, 10.0)
"""The rate that is set comes first: where time is short it is the one to know."""

STEPS = 60

FULL = 30
"""Steps that a trial is to have before it may say that the batch cannot be fitted."""

SECONDS = 4.0
"""What all trials together may take."""

LONGER = 6.0
"""The same where every step costs much."""

PART = 0.6
"""And what part of the time that is left."""

ENOUGH = 0.1
"""A trial whose loss is this share of what it began with has fitted its batch."""

SOME = 6
"""Steps that there must be time for, or no trial begins."""

WARM = 0.3
"""Seconds of a first step from which on a second one would tell little more of what it takes."""

CLEARLY = 0.4
"""The same where every step costs much: it is fitted by any measure of `conditions._harm`."""

HOPELESS = 1e4
"""A loss that many times the first does not come back within the trial."""


@PROBES.register("fit", order=20, needs=("sample", "optimizers"), cost="180S")
def fit(patient: Patient) -> Iterator[Fit]:
    """Some 60 steps on the first batch alone, at three rates, by the optimizer that is set.

    The copy begins where the loop stands: same weights, same random numbers, same mode. Its first
    loss must be the loop's, else nothing is said. Where no rate fits the batch, two more trials
    tell why: by Adam at 1e-3, and without dropout and weight decay. Where a step costs much the
    batch is a part of it, one rate is tried after the other, and what gets no end says nothing.
    """
    assert patient.sample is not None
    optimizers = [each for each in patient.optimizers if _trains(each, patient.model)]
    if len(optimizers) != 1 or not patient.sample.objective.loss.requires_grad:
        return
    if not patient.foreign.isdisjoint(reached_from(patient.sample.objective.loss)[0]):
        return  # a part of what is trained: alone it need not fit
    sample = light(patient)
    each = patient.deadline.passes(STEP * sample.size / max(1, patient.sample.size))
    until = time.perf_counter() + min(SECONDS, PART * patient.deadline.left)
    if each and time.perf_counter() + SOME * each > until:
        patient.deadline.leave_out("rates", 0, len(FACTORS))
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    constant = constant_of(sample)
    with twin:
        if not twin.parameters or not twin.agrees():
            return
        try:
            found = _fit(twin, optimizers[0], sample, constant, until, patient.deadline)
        except NoTwinError:
            return
    if found is not None:
        patient.workings["fit"] = found
        yield found


def _fit(
    twin: Twin,
    original: Optimizer,
    sample: Sample,
    constant: float | None,
    until: float,
    deadline: Deadline,
) -> Fit | None:
    began = time.perf_counter()
    with twin.returning():
        optimizer = twin.optimizer(original, 1.0)
        if not any(group["lr"] for group in optimizer.param_groups):
            return None
        trial(twin, optimizer, steps=1)
    each = time.perf_counter() - began
    if each < WARM:
        # The first step of a process warms up caches; the second one tells what a step takes.
        with twin.returning():
            before = time.perf_counter()
            trial(twin, twin.optimizer(original, 1.0), steps=2)
            each = (time.perf_counter() - before) / 2
    affordable = int((until - began) / max(each, 1e-6) / (len(FACTORS) + 1))
    steps = min(STEPS, affordable)
    hurried = steps < FULL
    if hurried:
        until = max(until, time.perf_counter() + min(LONGER, PART * deadline.left))
    trials: list[FitTrial] = []
    for factor in FACTORS:
        with twin.returning():
            optimizer = twin.optimizer(original, factor)
            if not hurried:
                trials.append(trial(twin, optimizer, steps, factor=factor))
                continue
            made = trial(twin, optimizer, FULL, factor=factor, until=until, enough=CLEARLY)
            if made is None:
                break
            trials.append(made)
        if done(made, constant):  # what other rates do tells something where this one fails
            break
    complete = len(trials) == len(FACTORS)
    if not complete:
        deadline.leave_out("rates", len(trials), len(FACTORS))
    variants: dict[str, FitTrial] = {}
    if complete and not any(done(each, constant) for each in trials):
        others = _others(twin, original)
        for name, make in others.items():
            if time.perf_counter() - began >= 1.5 * (until - began):
                deadline.leave_out("variants", len(variants), len(others))
                break
            with twin.returning():
                optimizer = make()
                if name == "free":
                    rest(twin.model)
                steps = FULL if hurried else steps
                end = began + 1.5 * (until - began) if hurried else math.inf
                made = trial(twin, optimizer, steps, until=end)
                if made is not None:
                    variants[name] = made
    if not trials:
        return None
    return Fit(
        trials=tuple(trials),
        batch=sample.size,
        constant=constant,
        variants=variants,
        complete=complete,
    )


def constant_of(sample: Sample) -> float | None:
    """The loss of the best constant on this batch, for a loss of torch's own."""
    call, target, output = sample.loss_call, sample.target, sample.output
    if call is None or target is None or output is None:
        return None
    classes = output.shape[1] if call.name in OVER_CLASSES and output.ndim > 1 else None
    return best_constant(call.name, target.detach(), classes, dict(call.kwargs))


def _others(twin: Twin, original: Optimizer) -> dict[str, Callable[[], Optimizer]]:
    """What else is tried where nothing fits."""
    found: dict[str, Callable[[], Optimizer]] = {}
    if not type(original).__name__.startswith(("Adam", "NAdam", "RAdam")):
        found["adam"] = lambda: Adam(list(twin.parameters.values()), lr=1e-3)
    decays = any(group.get("weight_decay") for group in original.param_groups)
    if decays or any(each.p > 0 for each in _dropouts(twin.model)):
        found["free"] = lambda: _without_decay(twin.optimizer(original, 1.0))
    return found


def _without_decay(optimizer: Optimizer) -> Optimizer:
    for group in optimizer.param_groups:
        if "weight_decay" in group:
            group["weight_decay"] = 0.0
    return optimizer


def _dropouts(model: nn.Module) -> list[nn.modules.dropout._DropoutNd]:
    return [e for e in model.modules() if isinstance(e, nn.modules.dropout._DropoutNd)]


def rest(model: nn.Module) -> None:
    """Dropout does nothing from here on."""
    for each in _dropouts(model):
        each.eval()


def done(trial: FitTrial, constant: float | None = None) -> bool:
    """Half of what it began with, and below what guessing costs."""
    if constant is None or constant < 0.1 * trial.start:  # as in `conditions._harm.fitted`
        constant = trial.start
    return trial.end <= min(0.5 * trial.start, 0.9 * constant)


class Tried(Protocol):
    """What a trial asks of a twin."""

    def begin(self) -> None: ...

    def loss(self) -> torch.Tensor: ...


class _LateError(Exception):
    """The next evaluation would not be over in time."""


@overload
def trial(
    twin: Tried, optimizer: Optimizer, steps: int, *, factor: float = 1.0, enough: float = ENOUGH
) -> FitTrial: ...
@overload
def trial(
    twin: Tried,
    optimizer: Optimizer,
    steps: int,
    *,
    factor: float = 1.0,
    until: float,
    enough: float = ENOUGH,
) -> FitTrial | None: ...
def trial(
    twin: Tried,
    optimizer: Optimizer,
    steps: int,
    *,
    factor: float = 1.0,
    until: float = math.inf,
    enough: float = ENOUGH,
) -> FitTrial | None:
    """`steps` steps of `optimizer` on the twin's batch, or fewer when its end is clear; None where
    `until` (of `time.perf_counter`) came before that: then it says nothing."""
    held = [each for group in optimizer.param_groups for each in group["params"]]
    losses: list[float] = []
    inner: list[float] = []
    longest = 0.0

    deaf = False
    """Whether this optimizer takes no notice of a closure."""

    def closure() -> torch.Tensor:
        nonlocal longest
        began = time.perf_counter()
        if began + longest > until:
            raise _LateError
        loss = twin.loss()
        grads = torch.autograd.grad(loss, held, allow_unused=True)
        if all(each is None for each in grads):
            raise NoTwinError("this loss does not depend on what the optimizer holds")
        for each, gradient in zip(held, grads, strict=True):
            each.grad = gradient
        inner.append(float(loss.detach()))
        longest = max(longest, time.perf_counter() - began)
        return loss.detach()

    twin.begin()
    lost = False
    try:
        for _ in range(steps):
            inner.clear()
            if not deaf:
                optimizer.step(closure)  # type: ignore[arg-type]
                deaf = not inner
            if deaf:
                closure()
                optimizer.step()
            losses.append(inner[0])
            lost = not math.isfinite(inner[0]) or abs(inner[0]) > HOPELESS * max(
                abs(losses[0]), 1e-12
            )
            if lost:
                break
            if len(losses) > 3 and max(losses[-2:]) <= enough * losses[0]:
                break
    except _LateError:
        return None
    with torch.no_grad():
        losses.append(float(twin.loss().detach()))
    last = losses[-5:]
    finite = not lost and all(math.isfinite(each) for each in last)
    rises = [b > a for a, b in itertools.pairwise(losses)]
    return FitTrial(
        factor=factor,
        steps=len(losses) - 1,
        start=losses[0],
        end=min(last) if finite else math.nan,
        rising=sum(rises) / len(rises),
        falling=(min(losses[: -(len(losses) // 5) or None]) - min(losses))
        / max(abs(losses[0]), 1e-30)
        if finite
        else 1.0,
        worst=max((each for each in losses if math.isfinite(each)), default=math.nan),
    )


def _trains(optimizer: Optimizer, model: nn.Module) -> bool:
    own = {id(each) for each in model.parameters()}
    return any(id(each) in own for group in optimizer.param_groups for each in group["params"])
