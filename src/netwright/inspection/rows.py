"""The record of a pass: rows, operations and parameters as facts that need no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

from torch import Tensor

from netwright.inspection.anatomy import Anatomy
from netwright.inspection.calls import opened
from netwright.inspection.ledger import made
from netwright.inspection.rules.registry import tensors_in
from netwright.records.inspection import (
    InspectedLayer,
    InspectionRecord,
    Operation,
    ParameterFact,
)


def record_of(done: Any, *, model: str, notes: list[str], seconds: float) -> InspectionRecord:
    """What a finished pass found. `done` has ledger, listener, model, output."""
    ledger, calls = done.ledger, done.listener.calls
    parts = done.parts
    outputs = list(tensors_in(opened(done.output)))
    used = ledger.used
    facts = tuple([_parameter(each, names, id(each) in used) for each, names in parts.parameters])
    return InspectionRecord(
        model=model,
        kind=type(done.model).__name__,
        inputs=tuple(tuple(each.shape) for each in done.inputs),
        input_dtypes=tuple(_dtype(each.dtype) for each in done.inputs),
        spatial=done.spatial,
        layers=_layers(ledger, calls, facts, parts),
        operations=tuple(ledger.operations),
        parameters=facts,
        outputs=tuple(tuple(each.shape) for each in outputs),
        output_bytes=sum(each.numel() * each.element_size() for each in outputs),
        peak_activation_bytes=ledger.peak,
        buffer_bytes=sum(b.numel() * b.element_size() for b, _ in parts.buffers),
        concrete=done.concrete,
        notes=(*notes, *ledger.notes),
        seconds=seconds,
        results=_results(ledger, outputs),
    )


def _parameter(parameter: Tensor, names: list[str], used: bool) -> ParameterFact:
    numel = parameter.numel()
    facts = {
        "paths": tuple(names),
        "shape": tuple(parameter.shape),
        "numel": numel,
        "bytes": numel * parameter.element_size(),
        "dtype": _dtype(parameter.dtype),
        "trainable": parameter.requires_grad,
        "used": used,
    }
    return made(ParameterFact, facts)


@cache
def _dtype(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _results(ledger: Any, outputs: list[Any]) -> tuple[int, ...]:
    """The operation (or input) each output came from; what no operation made is left out."""
    origins = (getattr(ledger.known.get(id(each)), "origin", None) for each in outputs)
    return tuple(each for each in origins if each is not None)


def _layers(
    ledger: Any, calls: list[Any], parameters: tuple[ParameterFact, ...], parts: Anatomy
) -> tuple[InspectedLayer, ...]:
    operations = ledger.operations
    macs = _running(each.macs for each in operations)
    other = _running(each.other_ops for each in operations)
    unruled = _running(0 if each.ruled else 1 for each in operations)
    held = [(each.paths, each.numel, each.trainable, each.bytes) for each in parameters]
    numels, own, trainable, weights = _held(calls, held)
    kept = [(paths, 0, False, b.numel() * b.element_size()) for b, paths in parts.buffers]
    buffers = _held(calls, kept)[3]
    written = ledger.written
    rows = []
    for number, call in enumerate(calls):
        begin, end, last = call.begin, call.end, call.last
        kind = type(call.module).__name__
        facts = {
            "name": call.path,
            "kind": kind,
            "depth": call.depth,
            "call": call.call,
            "inputs": call.inputs,
            "outputs": call.outputs,
            "params": numels[last] - numels[number],
            "own_params": own[number],
            "trainable": trainable[last] - trainable[number],
            "weight_bytes": weights[last] - weights[number],
            "buffer_bytes": buffers[last] - buffers[number],
            "macs": macs[end] - macs[begin],
            "other_ops": other[end] - other[begin],
            "activation_bytes": written[end] - written[begin],
            "fields": call.fields,
            "operations": (begin, end),
            "leaf": last == number + 1,
            "training": call.training,
            "rate": _rate(call.module) if "Dropout" in kind else None,
            "unruled": _named(operations[begin:end]) if unruled[end] > unruled[begin] else (),
        }
        rows.append(made(InspectedLayer, facts))
    return tuple(rows)


def _running(numbers: Iterable[int]) -> list[int]:
    """0 and the sums so far: the sum from a to b is the difference of two."""
    return list(accumulate(numbers, initial=0))


def _named(operations: Iterable[Operation]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for each in operations:
        if not each.ruled:
            found[each.name] = found.get(each.name, 0) + 1
    return tuple(sorted(found.items()))


def _held(
    calls: list[Any], tensors: Iterable[tuple[Sequence[str], int, bool, int]]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Where tensors are accounted for: at the first call of a module that holds the tensor; where
    none of them ran, of the nearest module round one that did. Running sums over the calls of
    elements, trainable elements and bytes; second, the elements each call's module holds itself.
    `tensors` are told by their paths, elements, whether they are trained, and bytes.
    """
    first: dict[str, int] = {}
    for number, call in enumerate(calls):
        first.setdefault(call.path, number)
    numels, own, trainable, size = ([0] * len(calls) for _ in range(4))
    for paths, numel, trained, bytes_ in tensors:
        holder = first.get(_owner(paths[0]))
        if holder is None or len(paths) > 1:
            ran = [first[owner] for path in paths if (owner := _owner(path)) in first]
            holder = min(ran, default=None)
        if holder is not None:
            number = holder
            own[number] += numel
        else:
            around = _owner(paths[0])
            while around and around not in first:
                around = _owner(around)
            number = first.get(around, 0)
        numels[number] += numel
        if trained:
            trainable[number] += numel
        size[number] += bytes_
    return _running(numels), own, _running(trainable), _running(size)


def _owner(path: str) -> str:
    return path.rpartition(".")[0]


def _rate(module: Any) -> float | None:
    """What a layer for dropout leaves out, if it says so."""
    rate = getattr(module, "p", None)
    return float(rate) if isinstance(rate, int | float) else None
