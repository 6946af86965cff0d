"""Why a function cannot be rehearsed: because of its input, its loss, its own backward pass, or
because it does not compute in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.core.unheard import unheard
from netwright.inspection.gradients.copies import copied, mapped
from netwright.inspection.step_loss import tensors_of

Stage = Literal["forward", "loss", "backward"]


@dataclass(frozen=True)
class Plan:
    """What the caller handed over, in the precision that it has."""

    name: str
    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    loss: Callable[..., Any] | None
    target: Any


def refused(error: Exception, stage: Stage, plan: Plan) -> SettingError:
    """What to tell of an `error` that was raised in `stage` in float64: where the plan fails as it
    was handed over too, float64 is not the reason."""
    own = _failure(plan)
    if own is not None:
        error, stage = own
    reason = _reason(error)
    if own is None:
        return SettingError(
            "{kind} does not compute in float64: {reason}",
            hint="Where it makes or casts a tensor, take the dtype of its input; what a function "
            "closes over can be given as an input.",
            kind=plan.name,
            reason=reason,
        )
    if stage == "backward":
        return SettingError(
            "The backward pass of {kind} raises: {reason}",
            hint="It gives no gradient that could be compared. The error stands above this one in "
            "the traceback.",
            kind=plan.name,
            reason=reason,
        )
    if stage == "loss":
        return SettingError(
            "The loss cannot take the output of {kind}: {reason}",
            hint="It is called with the output alone; with target=... with both."
            if plan.target is None
            else "It is called with the output and the target, in this order.",
            kind=plan.name,
            reason=reason,
        )
    return SettingError("{kind} cannot take its input: {reason}", kind=plan.name, reason=reason)


def _failure(plan: Plan) -> tuple[Exception, Stage] | None:
    """What the plan raises in the precision that it was given in, and where; None if nothing."""
    stage: Stage = "forward"
    try:
        function = plan.function
        if isinstance(function, nn.Module):
            function = copied(function, double=False)
        with unheard(), torch.enable_grad():
            output = function(*_fresh(list(plan.args)), **_fresh(dict(plan.kwargs)))
            stage = "loss"
            if plan.loss is not None:
                rest = () if plan.target is None else (_fresh(plan.target),)
                output = plan.loss(output, *rest)
            stage = "backward"
            found = [each for each in tensors_of(output) if each.requires_grad]
            if found:
                torch.autograd.backward([torch.view_as_real(each).sum() if each.is_complex()
                                         else each.sum() for each in found])  # fmt: skip
    except Exception as error:
        return error, stage
    return None


def _fresh(value: Any) -> Any:
    """Copies that are no leaves, as what a layer hands on to the next is none: they may be written
    into."""

    def change(tensor: Tensor, _: str) -> Tensor:
        made = tensor.detach().clone()
        if made.is_floating_point() or made.is_complex():
            return made.requires_grad_().clone()
        return made

    return mapped(value, change)


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
