"""Recurrent layers, whole: torch would unroll them step by step where there are no values.

For each step, layer and direction the input and the state each meet their weights once. Other
operations: 3 for each gate (two sums, one activation), 5 more for each unit of an LSTM (three
products, one sum, one activation), 4 for each of a GRU.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from netwright.inspection.carriers import NeedsValuesError
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules.registry import DECLINE, aten, function

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_CELL = {"lstm": 5, "gru": 4, "rnn_tanh": 0, "rnn_relu": 0}


def _recurrent(name: str) -> Any:
    def rule(ledger: Ledger, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 9:
            return DECLINE
        packed = isinstance(args[1], Tensor) and not isinstance(args[3], bool)
        if packed:
            data, sizes, state, weights, biased, layers, _, _, both = args
            if len(data.shape) != 2:
                return DECLINE
            steps, batch, batch_first = data.shape[0], None, False
        else:
            data, state, weights, biased, layers, _, _, both, batch_first = args
            if len(data.shape) != 3:
                return DECLINE
            sizes = None
            batch = data.shape[0 if batch_first else 1]
            steps = data.shape[0] * data.shape[1]
        states = tuple(state) if name == "lstm" else (state,)
        per = _weights_each(len(weights), layers * (2 if both else 1))
        if per is None or not _fits(name, data, states, weights, layers, both, biased, per, batch):
            return DECLINE
        directions = 2 if both else 1
        hidden = states[0].shape[2]
        if ledger.compute is not None:
            outs = ledger.ask()
        else:
            outs = (
                ledger.fresh((*data.shape[:-1], hidden * directions), data.dtype),
                *(ledger.fresh(each.shape, data.dtype) for each in states),
            )
        _note(ledger, name, data, sizes, states, weights, steps, outs, batch_first, both, layers)
        return outs

    return rule


def _weights_each(count: int, parts: int) -> int | None:
    """How many weights each layer and direction has: 2 matrices, 2 biases, 1 projection."""
    each, rest = divmod(count, parts) if parts else (0, 1)
    return each if not rest and each in (2, 3, 4, 5) else None


def _fits(
    name: str,
    data: Tensor,
    states: tuple[Tensor, ...],
    weights: Any,
    layers: int,
    both: bool,
    biased: bool,
    per: int,
    batch: int | None,
) -> bool:
    directions = 2 if both else 1
    gates = _GATES[name]
    projected = per in (3, 5)
    if (per >= 4) != bool(biased) or (projected and name != "lstm"):
        return False
    real = weights[1].shape[0] // gates
    hidden = weights[1].shape[1]
    if projected and tuple(weights[per - 1].shape) != (hidden, real):
        return False
    if not projected and hidden != real:
        return False
    for number, state in enumerate(states):
        size = real if number else hidden
        shape = tuple(state.shape)
        if len(shape) != 3 or shape[0] != layers * directions or shape[2] != size:
            return False
        if batch is not None and shape[1] != batch:
            return False
        if state.dtype != data.dtype:
            return False
    width = data.shape[-1]
    for layer in range(layers):
        for direction in range(directions):
            start = (layer * directions + direction) * per
            if tuple(weights[start].shape) != (gates * real, width):
                return False
            if tuple(weights[start + 1].shape) != (gates * real, hidden):
                return False
            if any(weights[start + k].dtype != data.dtype for k in range(2)):
                return False
        width = hidden * directions
    return 0 not in data.shape


def _note(
    ledger: Ledger,
    name: str,
    data: Tensor,
    sizes: Any,
    states: tuple[Tensor, ...],
    weights: Any,
    steps: int,
    outs: Any,
    batch_first: bool,
    both: bool,
    layers: int,
) -> None:
    """A step sees all that came before it, and in both directions all."""
    macs = steps * sum(prod(each.shape) for each in weights if each.ndim == 2)
    units = steps * sum(each.shape[0] for each in weights[1:2]) * layers * (2 if both else 1)
    gates = _GATES[name]
    other = units * 3 + units // gates * _CELL[name]
    field = ledger.field(data)
    time = 1 if batch_first and sizes is None else 0
    fields: list[Any] = [None, None, None]
    if field is not None:
        seen = tuple({time, len(data.shape) - 1} | ({0} if sizes is not None else set()))
        whole = field.spread(seen)
        shape = tuple(outs[0].shape)
        dims = (*range(len(shape) - 1), None)
        fields[0] = type(field).contracted(shape, (whole, dims))
        for number, out in enumerate(outs[1:], 1):
            fields[number] = ledger.everything(tuple(out.shape), (data,))
    short = name.partition("_")[0]
    ledger.note(
        short,
        (data, *states, *weights),
        outs,
        fields=fields[: len(outs)],
        macs=macs,
        other=other,
        options=(("hidden_size", states[0].shape[2]), ("num_layers", layers),
                 ("bidirectional", bool(both)), ("batch_first", bool(batch_first))),
    )  # fmt: skip


for _name in _GATES:
    function(getattr(torch, _name))(_recurrent(_name))


@aten("mkldnn_rnn_layer")
def mkldnn_layer(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    """One layer in one direction, as the CPU has it: (input, w_ih, w_hh, b_ih, b_hh, ...)."""
    data, w_ih, w_hh = args[:3]
    steps = prod(data.shape[:-1])
    macs = steps * (prod(w_ih.shape) + prod(w_hh.shape))
    outs = [each for each in out if isinstance(each, Tensor)]
    fields = [ledger.everything(tuple(each.shape), (data,)) for each in outs]
    reads = [each for each in args[:7] if isinstance(each, Tensor)]
    ledger.note("rnn", reads, outs, fields=fields, macs=macs, other=3 * steps * w_hh.shape[0])


@function(torch._VF._pack_padded_sequence)
def pack(ledger: Ledger, input: Tensor, lengths: Tensor, batch_first: bool) -> Any:  # noqa: A002
    """Rows of all samples at each step, without the padding: their number must be known."""
    if ledger.concrete:
        return DECLINE
    values = ledger.value(lengths)
    if values is None:
        raise NeedsValuesError("pack_padded_sequence")
    sizes = values.tolist()
    steps, batch = input.shape[1 if batch_first else 0], input.shape[0 if batch_first else 1]
    if (
        input.ndim < 2
        or len(sizes) != batch
        or min(sizes, default=0) < 1
        or sizes != sorted(sizes, reverse=True)
        or max(sizes) > steps
    ):
        # torch says what is wrong, of a tensor with as little in it as possible.
        guard = torch._C._DisableTorchDispatch()
        try:
            torch._VF._pack_padded_sequence(
                torch.zeros(tuple(input.shape)[:2]), values, batch_first
            )
        finally:
            del guard
        return DECLINE
    field = ledger.field(input)
    shape = (sum(sizes), *input.shape[2:])
    data = ledger.fresh(shape, input.dtype)
    if field is not None:
        field = ledger.everything(shape, (input,))
    ledger.note("pack", (input,), data, field)
    return data, _numbers([sum(size > step for size in sizes) for step in range(max(sizes))])


def _numbers(values: list[int]) -> Tensor:
    guard = torch._C._DisableTorchDispatch()
    try:
        return torch.tensor(values)
    finally:
        del guard


@function(torch._VF._pad_packed_sequence)
def unpack(
    ledger: Ledger,
    data: Tensor,
    counts: Tensor,
    batch_first: bool,
    padding_value: float,
    total_length: int,
) -> Any:
    if ledger.concrete or counts.is_meta:
        return DECLINE
    sizes = counts.tolist()
    steps = max(total_length, len(sizes))
    lead = (sizes[0], steps) if batch_first else (steps, sizes[0])
    shape = (*lead, *data.shape[1:])
    out = ledger.fresh(shape, data.dtype)
    ledger.note("unpack", (data,), out, ledger.everything(shape, (data,)))
    return out, _numbers([sum(size > n for size in sizes) for n in range(sizes[0])])


@aten("_pack_padded_sequence", "_pad_packed_sequence")
def packed(ledger: Ledger, args: Any, kwargs: Any, out: Any) -> None:
    """In a concrete pass: rows are picked, or put back."""
    fields = [ledger.everything(tuple(each.shape), args[:1]) for each in out]
    ledger.note("pack", args[:1], out, fields=(fields[0], None))
