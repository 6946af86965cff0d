"""The record of a pass: rows, operations and parameters as facts that need no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, partial
from itertools import accumulate
from typing import Any

from torch import Tensor

from netwright.inspection.calls import Call, opened
from netwright.inspection.ledger import made
from netwright.inspection.rules.registry import tensors_in
from netwright.records.inspection import (
    InspectedLayer,
    InspectionRecord,
    Operation,
    ParameterFact,
)

_Tensor = tuple[Sequence[str], int, bool, int]
"""A parameter or buffer: its paths, elements, whether they are trained, and bytes."""


def record_of(done: Any, *, model: str, notes: list[str], seconds: float) -> InspectionRecord:
    """What a finished pass found. `done` has ledger, listener, model, output."""
    ledger, calls = done.ledger, done.listener.calls
    parts = done.parts
    outputs = list(tensors_in(opened(done.output)))
    used = ledger.used
    facts = tuple([_parameter(each, names, id(each) in used) for each, names in parts.parameters])
    operations = tuple(ledger.operations)
    buffers = [(paths, 0, False, b.numel() * b.dtype.itemsize) for b, paths in parts.buffers]
    for call in calls:
        call.sight = None  # the layers may be asked for late, or never
    return InspectionRecord.when_asked(
        {
            "model": model,
            "kind": type(done.model).__name__,
            "inputs": tuple(tuple(each.shape) for each in done.inputs),
            "input_dtypes": tuple(_dtype(each.dtype) for each in done.inputs),
            "spatial": done.spatial,
            "operations": operations,
            "parameters": facts,
            "outputs": tuple(tuple(each.shape) for each in outputs),
            "output_bytes": sum(each.numel() * each.element_size() for each in outputs),
            "peak_activation_bytes": ledger.peak,
            "buffer_bytes": sum([size for _, _, _, size in buffers]),
            "concrete": done.concrete,
            "notes": (*notes, *ledger.notes),
            "seconds": seconds,
            "results": _results(ledger, outputs),
        },
        partial(_layers, calls, operations, ledger.written, facts, buffers),
    )


def _parameter(parameter: Tensor, names: list[str], used: bool) -> ParameterFact:
    numel = parameter.numel()
    dtype = parameter.dtype
    facts = {
        "paths": tuple(names),
        "shape": tuple(parameter.shape),
        "numel": numel,
        "bytes": numel * dtype.itemsize,
        "dtype": _dtype(dtype),
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
    calls: list[Call],
    operations: tuple[Operation, ...],
    written: list[int],
    parameters: tuple[ParameterFact, ...],
    kept: list[_Tensor],
) -> tuple[InspectedLayer, ...]:
    macs = _running(each.macs for each in operations)
    other = _running(each.other_ops for each in operations)
    unruled = _running(0 if each.ruled else 1 for each in operations)
    held = [(each.paths, each.numel, each.trainable, each.bytes) for each in parameters]
    numels, own, trainable, weights = _held(calls, held)
    buffers = _held(calls, kept)[3]
    rows = []
    for number, call in enumerate(calls):
        begin, end, last = call.begin, call.end, call.last
        facts = {
            "name": call.path,
            "kind": call.kind,
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
            "rate": call.rate,
            "unruled": _named(operations[begin:end]) if unruled[end] > unruled[begin] else (),
            "along": () if call.sight is None else call.sight.along(),
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
    calls: list[Call], tensors: Iterable[_Tensor]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Where tensors are accounted for: at the first call of a module that holds the tensor; where
    none of them ran, of the nearest module round one that did. Running sums over the calls of
    elements, trainable elements and bytes; second, the elements each call's module holds itself.
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
