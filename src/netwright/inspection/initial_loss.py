"""The scalar from which the gradient of a network at its start goes back, and its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.core.errors import SettingError


def loss_begun(
    output: Any, target: Tensor | None, loss: Callable[..., Tensor] | None, name: str
) -> Tensor:
    """`loss` of `output` and, where there is one, `target`. Without `loss` it is the cross-entropy
    with whole numbers, else the mean squared error, summed over all outputs with a gradient;
    without a target either, a random direction of unit variance on them, the same each time.

    Raises `SettingError` for a target that does not fit, and for a scalar without a gradient;
    `name` is that of the network in its words.
    """
    if loss is not None:
        begun = loss(output) if target is None else loss(output, target)
    else:
        parts = [each for each in _outputs(output) if each.requires_grad]
        generator = torch.Generator().manual_seed(0)
        begun = torch.zeros(())
        for part in parts:
            if target is None:
                direction = torch.randn(part.shape, generator=generator).to(part)
                term = (part * direction).sum() / max(1, len(part) if part.ndim else 1)
            else:
                term = _distance(part, target, name)
            begun = begun.to(term.device) + term
    if not isinstance(begun, Tensor) or not begun.requires_grad:
        raise SettingError(
            "{model}: what it puts out has no gradient, so none can be measured.",
            hint="Give a loss that makes one number of it: loss=lambda output: ...",
            model=name,
        )
    return begun


def loss_name(target: Tensor | None, loss: Callable[..., Tensor] | None) -> str:
    """What the record calls it.

    >>> loss_name(None, None), loss_name(torch.tensor([3]), None)
    ('random direction', 'cross-entropy')
    """
    if loss is not None:
        return str(getattr(loss, "__name__", type(loss).__name__))
    if target is None:
        return "random direction"
    return "mean squared error" if target.is_floating_point() else "cross-entropy"


def _distance(output: Tensor, target: Tensor, name: str) -> Tensor:
    """Mean squared error or cross-entropy, where the two fit."""
    try:
        if not target.is_floating_point():
            return F.cross_entropy(output, target)
        if output.shape == target.shape:
            return F.mse_loss(output, target)
        reason = ""
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
    raise SettingError(
        "{model}: the target {target} does not fit the output {output}. {reason}",
        model=name,
        target=str(tuple(target.shape)),
        output=str(tuple(output.shape)),
        reason=reason,
    )


def _outputs(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return []
    return [each for part in parts for each in _outputs(part)]
