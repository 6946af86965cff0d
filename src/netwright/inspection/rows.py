"""The record of a pass: rows, operations and parameters as facts that need no torch."""

from __future__ import annotations

from typing import Any

from torch import nn

from netwright.inspection.calls import _opened
from netwright.inspection.rules.registry import tensors_in
from netwright.records.inspection import (
    InspectedLayer,
    InspectionRecord,
    ParameterFact,
)


def record_of(done: Any, *, model: str, notes: list[str], seconds: float) -> InspectionRecord:
    """What a finished pass found. `done` has ledger, listener, model, output."""
    ledger, calls = done.ledger, done.listener.calls
    # Lazy layers have their parameters only now.
    parameters = [
        (p, names)
        for p, names in _paths(done.model)
    ]
    outputs = list(tensors_in(_opened(done.output)))
    facts = tuple(
        ParameterFact(
            paths=names,
            shape=tuple(p.shape),
            numel=p.numel(),
            bytes=p.numel() * p.element_size(),
            dtype=str(p.dtype).removeprefix("torch."),
            trainable=p.requires_grad,
            used=id(p) in ledger.used,
        )
        for p, names in parameters
    )
    return InspectionRecord(
        model=model,
        kind=type(done.model).__name__,
        inputs=tuple(tuple(each.shape) for each in done.inputs),
        input_dtypes=tuple(str(each.dtype).removeprefix("torch.") for each in done.inputs),
        spatial=done.spatial,
        layers=_layers(done.model, ledger, calls, parameters),
        operations=tuple(ledger.operations),
        parameters=facts,
        outputs=tuple(tuple(each.shape) for each in outputs),
        output_bytes=sum(each.numel() * each.element_size() for each in outputs),
        peak_activation_bytes=ledger.peak,
        buffer_bytes=sum(b.numel() * b.element_size() for b in done.model.buffers()),
        concrete=done.concrete,
        notes=(*notes, *ledger.notes),
        seconds=seconds,
    )


def _paths(model: nn.Module) -> Any:
    from netwright.inspection.tracing import parameter_paths

    return parameter_paths(model)


def _layers(
    model: nn.Module, ledger: Any, calls: list[Any], parameters: Any
) -> tuple[InspectedLayer, ...]:
    macs, other, unruled = [0], [0], [0]
    for each in ledger.operations:
        macs.append(macs[-1] + each.macs)
        other.append(other[-1] + each.other_ops)
        unruled.append(unruled[-1] + (not each.ruled))
    held = _held(calls, [(names, p.numel(), p.element_size(), p.requires_grad)
                         for p, names in parameters])  # fmt: skip
    buffers = _held(calls, _buffers(model))
    rows = []
    for number, call in enumerate(calls):
        begin, end = call.begin, call.end
        within = range(number, call.last)
        params = [each for row in within for each in held.get(row, ())]
        own = [each for each in held.get(number, ()) if each[4] == call.path]
        rows.append(
            InspectedLayer(
                name=call.path,
                kind=type(call.module).__name__,
                depth=call.depth,
                call=call.call,
                inputs=call.inputs,
                outputs=call.outputs,
                params=sum(each[1] for each in params),
                own_params=sum(each[1] for each in own),
                trainable=sum(each[1] for each in params if each[3]),
                weight_bytes=sum(each[1] * each[2] for each in params),
                buffer_bytes=sum(
                    each[1] * each[2] for row in within for each in buffers.get(row, ())
                ),
                macs=macs[end] - macs[begin],
                other_ops=other[end] - other[begin],
                activation_bytes=ledger.written[end] - ledger.written[begin],
                fields=call.fields,
                operations=(begin, end),
                leaf=call.last == number + 1,
                training=call.training,
                unruled=_named(ledger.operations[begin:end]) if unruled[end] - unruled[begin] else (),
            )
        )
    return tuple(rows)


def _named(operations: Any) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for each in operations:
        if not each.ruled:
            found[each.name] = found.get(each.name, 0) + 1
    return tuple(sorted(found.items()))


def _buffers(model: nn.Module) -> list[Any]:
    found: dict[int, Any] = {}
    for path, buffer in model.named_buffers(remove_duplicate=False):
        entry = found.setdefault(id(buffer), ([], buffer.numel(), buffer.element_size(), False))
        entry[0].append(path)
    return list(found.values())


def _held(calls: list[Any], tensors: list[Any]) -> dict[int, list[Any]]:
    """Which tensors are accounted for at which call: the first call of a module that holds the
    tensor; where none of them ran, of the nearest module round one that did."""
    first: dict[str, int] = {}
    for number, call in enumerate(calls):
        first.setdefault(call.path, number)
    held: dict[int, list[Any]] = {}
    for paths, numel, size, trainable in tensors:
        owners = [path.rpartition(".")[0] for path in paths]
        ran = [(first[each], each) for each in owners if each in first]
        if ran:
            number, owner = min(ran)
        else:
            owner = owners[0]
            around = owner
            while around and around not in first:
                around = around.rpartition(".")[0]
            number = first.get(around, 0)
        held.setdefault(number, []).append((paths, numel, size, trainable, owner))
    return held
