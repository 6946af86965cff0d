"""The memory and the work of a whole training step, without computing or allocating anything.

A twin of the model in tensors without memory takes the step: forward, loss, backward, optimizer.
Every storage is followed from its birth to its end; scratch inside operations is added by rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from netwright.inspection.isolation import isolated
from netwright.inspection.step_optimizer import OptimizerChoice, check, named
from netwright.inspection.step_trace import StepTrace
from netwright.inspection.storages import Ledger
from netwright.records.memory import (
    InferenceMemory,
    MemoryParts,
    MemoryPoint,
    Phase,
    TrainingMemory,
    thinned,
)


def training_memory(
    model: nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    optimizer: OptimizerChoice = "sgd",
    loss: Callable[[Any], Tensor] | None = None,
) -> TrainingMemory:
    """The peak of memory in one training step of `model(*args, **kwargs)`, when it is and of what.

    Tensors in `args` and `kwargs` are whole batches, real, meta or fake; their values are never
    read. `optimizer` is `"sgd"`, `"momentum"`, `"adam"`, `"adamw"`, a class of `torch.optim`, an
    optimizer of this model, or None for a step that ends with its gradients. `loss(output)` gives
    a scalar; without one it is the cross-entropy of logits (N, classes), else the mean.

    The step is one in training mode, with gradients, in the caller's autocast, from the second
    step on. The model, its mode, hooks, gradients and statistics, and all random states, are
    left as they were. Measured against the allocator on CPU it holds within 10 %
    (`benchmarks/memory.md`).

    Raises `SettingError` for a model that cannot take its input, has nothing to train, or whose
    path depends on values; it says where and why.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 10))
    >>> found = training_memory(net, (torch.empty(8, 1000),), optimizer="adam")
    >>> str(found.moment), found.gradient_bytes, found.optimizer_bytes  # 4 tensors count steps
    ('optimizer step', 4044040, 8088096)
    >>> found.forward_macs, found.backward_macs  # the first layer's input needs no gradient
    (8080000, 8160000)
    """
    began = time.perf_counter()
    check(optimizer, model)
    with isolated(), StepTrace(model, args, kwargs or {}) as step:
        scalar = step.forward(loss)
        saved = step.saved()
        gradients = step.backward(scalar)
        state = step.optimize(optimizer)
    ledger, macs = step.ledger, step.watch.macs
    peak, totals = _peak(ledger)
    return TrainingMemory(
        peak_bytes=totals[peak],
        moment=ledger.moments[peak],
        parts=_parts(ledger, peak),
        phase_peaks=_phase_peaks(ledger, totals),
        timeline=_timeline(ledger, totals),
        weight_bytes=step.entered["weights"],
        buffer_bytes=step.entered["buffers"],
        input_bytes=step.entered["inputs"],
        output_bytes=step.output_bytes,
        saved_bytes=saved,
        gradient_bytes=gradients,
        optimizer_bytes=state,
        forward_macs=macs["forward"],
        backward_macs=macs["backward"],
        recomputed_macs=macs["recomputed"],
        optimizer=named(optimizer),
        loss=getattr(loss, "__name__", type(loss).__name__) if loss else "usual",
        seconds=time.perf_counter() - began,
    )


def inference_memory(
    model: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
) -> InferenceMemory:
    """The peak of memory in a forward pass in evaluation mode without gradients, and of what.

    Arguments, promises and errors are those of `training_memory`.

    >>> import torch
    >>> found = inference_memory(nn.Sequential(nn.Linear(10, 30), nn.ReLU()), (torch.empty(1, 10),))
    >>> found.parts.weights, found.parts.inputs, found.parts.passing  # two results of 30 floats
    (1320, 40, 240)
    """
    began = time.perf_counter()
    with isolated(), StepTrace(model, args, kwargs or {}) as step:
        output_bytes = step.infer()
    peak, totals = _peak(step.ledger)
    return InferenceMemory(
        peak_bytes=totals[peak],
        moment=step.ledger.moments[peak],
        parts=_parts(step.ledger, peak),
        timeline=_timeline(step.ledger, totals),
        output_bytes=output_bytes,
        seconds=time.perf_counter() - began,
    )


def _peak(ledger: Ledger) -> tuple[int, list[int]]:
    """The moment at which the most is alive, and what is alive at each."""
    totals = ledger.totals()
    return max(range(len(totals)), key=totals.__getitem__), totals


def _parts(ledger: Ledger, moment: int) -> MemoryParts:
    return MemoryParts(**ledger.parts(moment), scratch=ledger.scratch[moment])


def _phase_peaks(ledger: Ledger, totals: list[int]) -> tuple[tuple[Phase, int], ...]:
    found: dict[Phase, int] = {}
    for moment, total in zip(ledger.moments, totals, strict=True):
        found[moment.phase] = max(total, found.get(moment.phase, 0))
    return tuple(found.items())


def _timeline(ledger: Ledger, totals: list[int]) -> tuple[MemoryPoint, ...]:
    return thinned(
        [
            MemoryPoint(operation=number, phase=moment.phase, bytes=total)
            for number, (moment, total) in enumerate(zip(ledger.moments, totals, strict=True))
        ]
    )
