"""Which losses a loop computes: torch's own by name, those written by hand by what they do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.doctor.patient import LOSSES
from netwright.doctor.tape import Call
from netwright.doctor.unfolding import STILL, VIEWS, Unfolded, given, word_of

SCALINGS = VIEWS | STILL | {"mean", "sum", "nanmean", "neg", "div", "mul", "item"}
"""Functions of one tensor and of numbers that leave a loss what it is, but for a factor."""


@dataclass(frozen=True, eq=False)
class Term:
    """One loss on the way: `input` is judged by `target`. `factor` is what the end of the way is,
    over this loss's mean; None where more than a factor lies between, or another term is added."""

    kind: str
    input: Tensor
    target: Tensor | None
    value: float
    place: int
    options: Mapping[str, Any] = field(default_factory=dict)
    by_hand: bool = False
    factor: float | None = None
    source: Tensor | None = None
    """What `input` was made of, where the loop itself never made it."""


def terms(way: Unfolded) -> list[Term]:
    """Every loss that a way holds: torch's own, or else those put together by hand."""
    found = [
        term
        for place, call in enumerate(way.calls)
        if not call.of_module and call.name in LOSSES and (term := _named(way, place, call))
    ]
    return found or list(_by_hand(way))


def _named(way: Unfolded, place: int, call: Call) -> Term | None:
    options = bound(call)
    target = options.get("target", options.get("targets"))
    judged = next(iter(given(call)), None)
    result = call.result
    if judged is None or not isinstance(result, Tensor) or not result.is_floating_point():
        return None
    value = float(result.detach().float().mean()) if result.numel() else float("nan")
    return Term(
        kind=call.name,
        input=judged,
        target=target if isinstance(target, Tensor) else None,
        value=value,
        place=place,
        options=options,
        factor=_factor(way, result, place, value),
    )


def bound(call: Call) -> dict[str, Any]:
    """The arguments of a torch function by name, with their defaults."""
    known = getattr(F, call.name, call.run)
    try:
        arguments = inspect.signature(known).bind(*call.args, **call.kwargs)
    except (TypeError, ValueError):
        names = ("input", "target", "weight")
        return {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    arguments.apply_defaults()
    return dict(arguments.arguments)


def _factor(way: Unfolded, result: Tensor, place: int, value: float) -> float | None:
    """The end over `value`, where every call after `place` only scales or averages one tensor."""
    current = [result]
    for call in way.calls[place + 1 :]:
        fed = [each for each in given(call) if any(each is one for one in current)]
        if not fed:
            continue
        others = [e for e in given(call) if all(e is not one for one in current) and e.numel() > 1]
        if others or word_of(call) not in SCALINGS or not isinstance(call.result, Tensor):
            return None
        current.append(call.result)
    if not any(each is way.loss for each in current) or not value:
        return None
    return float(way.loss.detach()) / value


# Losses by hand


def _by_hand(way: Unfolded) -> Iterator[Term]:
    for place, call in enumerate(way.calls):
        word = word_of(call)
        if word in ("getitem", "gather", "take_along_dim"):
            found = _picked(way, place, call)
        elif word == "mul":
            found = _weighed(way, place, call)
        elif word in ("pow", "square", "abs"):
            found = _difference(way, place, call, word)
        else:
            found = None
        if found is not None:
            yield found


def _picked(way: Unfolded, place: int, call: Call) -> Term | None:
    """The log-probability of the right class, picked by its index: a likelihood by hand."""
    table = call.args[0] if call.args else None
    labels = _labels(call)
    if not isinstance(table, Tensor) or not _of_model(table) or table.ndim < 2:
        return None
    if labels is None or labels.numel() < 2:
        return None
    words = way.way(table, place).words
    picked = call.result
    # Probabilities may be picked first and the logarithm taken then.
    later = next(
        (
            (place + 1 + more, each)
            for more, each in enumerate(way.calls[place + 1 :])
            if word_of(each) == "log" and any(one is picked for one in given(each))
        ),
        None,
    )
    if "log_softmax" in words or "log" in words:
        logs = table
    elif later is not None and "softmax" in words:
        place, picked = later[0], later[1].result
        logs = table.detach().log()
    else:
        return None
    value = -float(picked.detach().float().mean())
    factor = _factor(way, picked, place, value)
    if factor is None:
        return None  # weighed sample by sample: a policy gradient, a focal loss
    return Term(
        kind="nll_loss", input=logs, target=labels, value=value, place=place, by_hand=True,
        factor=factor, source=table,
    )  # fmt: skip


def _labels(call: Call) -> Tensor | None:
    """The index that picks a class for each sample."""
    if word_of(call) == "getitem":
        index = call.args[1] if len(call.args) > 1 else None
        parts = [each for each in (index if isinstance(index, tuple) else ()) if _whole(each)]
        return parts[-1] if len(parts) == 2 else None
    tensors = [each for each in given(call)[1:] if _whole(each)]
    if not tensors or tensors[0].ndim < 2 or tensors[0].shape[1] != 1:
        return None
    return tensors[0].squeeze(1)


def _weighed(way: Unfolded, place: int, call: Call) -> Term | None:
    """One-hot or soft targets times log-probabilities: a cross-entropy by hand."""
    pair = given(call)
    if len(pair) != 2 or pair[0].shape != pair[1].shape or pair[0].ndim < 2:
        return None
    logs, shares = pair if _of_model(pair[0]) else (pair[1], pair[0])
    if not _of_model(logs) or shares.requires_grad:
        return None
    sums = shares.detach().float().sum(1)
    if logs.shape[1] < 2 or bool((sums - 1).abs().max() > 1e-3) or bool((shares < 0).any()):
        return None
    words = way.way(logs, place).words
    if "log_softmax" not in words[:3] and "log" not in words[:3]:
        return None
    value = -float(call.result.detach().float().sum(1).mean())
    factor = _factor(way, call.result, place, value)
    if factor is None:
        return None
    return Term(
        kind="cross_entropy", input=logs, target=shares.detach(), value=value, place=place,
        by_hand=True, factor=factor,
    )  # fmt: skip


def _difference(way: Unfolded, place: int, call: Call, word: str) -> Term | None:
    """The square or size of output minus target."""
    if word == "pow" and not (len(call.args) > 1 and call.args[1] == 2):
        return None
    fed = given(call)
    before = way.maker(fed[0], place) if fed else None
    if before is None or word_of(way.calls[before]) != "sub":
        return None
    pair = given(way.calls[before])
    if len(pair) != 2 or pair[0].requires_grad == pair[1].requires_grad:
        return None
    judged, target = pair if pair[0].requires_grad else (pair[1], pair[0])
    if isinstance(judged, nn.Parameter) or target.numel() < 2 or judged.numel() < 2:
        return None
    if way.maker(judged) is None or not isinstance(call.result, Tensor):
        return None
    value = float(call.result.detach().float().mean())
    factor = _factor(way, call.result, place, value)
    if factor is None:
        return None
    return Term(
        kind="l1_loss" if word == "abs" else "mse_loss", input=judged, target=target, value=value,
        place=place, by_hand=True, factor=factor,
    )  # fmt: skip


def _of_model(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.requires_grad


def _whole(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_floating_point() and value.dtype != torch.bool
