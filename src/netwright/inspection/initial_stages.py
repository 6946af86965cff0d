"""The stages of a network: weights, and the norms and activations behind them, as facts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from netwright.inspection.initial_weights import alike, all_zero
from netwright.inspection.signals import Signal, norm_of
from netwright.records.initial_state import StageState


def stages_of(
    signals: list[Signal],
    weights: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
) -> list[StageState]:
    """The facts of the stages that `signals` make up, in the order they ran: a call of weights and
    all that followed before the next. `weights` and `gradients` are of the parameters, by name.
    """
    groups: list[list[Signal]] = []
    for signal in signals:
        if signal.role == "weights":
            groups.append([signal])
        elif groups:  # a norm of the input itself belongs to no weights
            groups[-1].append(signal)
    calls: dict[str, int] = {}
    found = []
    for group in groups:
        head = group[0]
        call = calls.get(head.layer, 0)
        calls[head.layer] = call + 1
        found.append(_stage(group, call, weights, gradients))
    return found


def _stage(
    group: list[Signal],
    call: int,
    weights: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
) -> StageState:
    head, end = group[0], group[-1]
    prefix = f"{head.layer}." if head.layer else ""
    # A weight that is computed (weight norm, ...) has its gradient in what it is computed from.
    own = head.weights or tuple(
        each for each in weights if each.startswith(prefix) and weights[each].ndim > 1
    )
    given = [g for each in own if (g := gradients.get(each)) is not None]
    norms = [each for each in group if each.role == "norm"]
    scales = [weights[n] for each in norms for n in each.weights if n in weights]
    flats = [each.flat for each in group if each.flat is not None]
    acted = [each.operation for each in group if each.role == "activation"]
    worst = max(flats, key=lambda f: (f.squashes, f.saturated), default=None)
    return StageState(
        layer=head.layer,
        operation=head.operation,
        call=call,
        norm=norms[0].operation if norms else "",
        activation=acted[-1] if acted else "",
        shape=end.shape,
        raw=head.values,
        signal=end.values,
        saturated=None if worst is None else worst.saturated,
        dead=max((f.dead for f in flats), default=None),
        seen=min((f.seen for f in flats), default=0),
        squashes=worst is not None and worst.squashes,
        gradient=end.gradient,
        weight_gradient=_norm(given),
        alike=alike(own, weights, gradients),
        started_at_zero=all_zero([weights[each] for each in own if each in weights])
        or all_zero(scales),
    )


def _norm(tensors: list[Tensor]) -> float | None:
    if not tensors:
        return None
    return math.hypot(*(norm_of(each) for each in tensors))
